import TuskConversion

/// Numbers for the questions of a file, from 0 on in the order they come.
struct QuestionNumbers {
  private var numbers: [[Int]: Int] = [:]
  private var count = 0

  /// Of a question that is like no other.
  mutating func next() -> Int {
    defer { count += 1 }
    return count
  }

  /// Of the question that the members `paths` of `record` name.
  /// - Throws: `.malformed`.
  mutating func number(of record: DataRecord, _ paths: [String]) throws(TrainingError) -> Int {
    var key: [Int] = []
    for path in paths.dropLast() where record.value(path) != nil { key.append(try record.count([path])) }
    key.append(try record.count([paths.last!]))
    if let number = numbers[key] { return number }
    let number = next()
    numbers[key] = number
    return number
  }
}

extension DataRecord {
  /// MultiRC as SuperGLUE publishes it: a passage with questions, each with answers, of which each is an example. A line
  /// without `passage.questions` is one by itself.
  func multiRCParts() throws(TrainingError) -> [DataRecord] {
    guard value("passage.questions") != nil else { return [self] }
    let paragraph = try count(["idx"])
    let text = try text("passage.text")
    var parts: [DataRecord] = []
    for members in try objects("passage.questions") {
      let question = DataRecord(members, of: self)
      let questionText = try question.text("question")
      let number = try question.count(["idx"])
      for answer in try question.objects("answers") {
        var members = answer
        members["answer"] = answer["text"]
        members["question"] = .string(questionText)
        members["paragraph"] = .string(text)
        members["idx"] = .object(["paragraph": .integer(paragraph), "question": .integer(number)])
        parts.append(DataRecord(members, of: self))
      }
    }
    return parts
  }

  /// ReCoRD as SuperGLUE publishes it: a passage with the places of its entities, and queries, of which each is an example.
  /// Entities and answers are given once each, in the order of their scalars. A line without `qas` is one by itself.
  func recordParts() throws(TrainingError) -> [DataRecord] {
    guard value("qas") != nil else { return [self] }
    let text = try text("passage.text")
    let scalars = Array(text.unicodeScalars)
    var entities: Set<[UInt8]> = []
    for members in try objects("passage.entities") {
      let entity = DataRecord(members, of: self)
      let first = try entity.count(["start"])
      let last = try entity.count(["end"])
      guard first <= last, last < scalars.count else {
        throw failure(
          "'passage.entities': found characters \(first) to \(last), required some of the \(scalars.count) of the text")
      }
      var view = String.UnicodeScalarView()
      view.append(contentsOf: scalars[first...last])
      entities.insert(Array(String(view).utf8))
    }
    var parts: [DataRecord] = []
    for members in try objects("qas") {
      let query = DataRecord(members, of: self)
      var part = query
      if query.value("answers") != nil {
        var answers: Set<[UInt8]> = []
        for answer in try query.objects("answers") {
          answers.insert(Array(try DataRecord(answer, of: self).text("text").utf8))
        }
        part.members["answers"] = .array(answers.inOrder)
      }
      part.members["passage"] = .string(text)
      part.members["entities"] = .array(entities.inOrder)
      parts.append(part)
    }
    return parts
  }
}

extension Set<[UInt8]> {
  /// UTF-8 texts in the order of their scalars, which is that of their bytes.
  fileprivate var inOrder: [JSONValue] {
    sorted { $0.lexicographicallyPrecedes($1) }.map { .string(String(decoding: $0, as: UTF8.self)) }
  }
}
