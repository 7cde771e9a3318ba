/// The post-processor of a `tokenizer.json`: what is put around a text.
struct PostProcessorJSON: Decodable {
  struct Token: Decodable {
    let ids: [Int]
  }

  let type: String?
  let single, pair: [Part]?
  let specialTokens: [String: Token]?
  let cls, sep: NamedId?

  /// The id of the token in front of a text, if there is one.
  var beginId: Int? {
    guard type == "TemplateProcessing" else { return cls?.id }
    return (single?.first?.specialToken).flatMap { specialTokens?[$0.id]?.ids.first }
  }

  /// Whether texts are put together as `begin A end` and `begin A end end B end`, all of type 0.
  var isRobertaLike: Bool {
    guard type == "TemplateProcessing" else { return type == "RobertaProcessing" }
    func names(_ parts: [Part]?) -> [String] {
      (parts ?? []).map { ($0.specialToken ?? $0.sequence).map { "\($0.id) \($0.typeId)" } ?? "" }
    }
    let (one, two) = (names(single), names(pair))
    guard one.count == 3, one[1] == "A 0", one[0].hasSuffix(" 0"), one[2].hasSuffix(" 0") else { return false }
    return two == one + [one[2], "B 0", one[2]]
  }
}

extension PostProcessorJSON {
  struct Part: Decodable {
    struct Name: Decodable {
      let id: String
      let typeId: Int
    }

    let specialToken, sequence: Name?

    enum CodingKeys: String, CodingKey {
      case specialToken = "SpecialToken"
      case sequence = "Sequence"
    }
  }

  /// A pair [text, id].
  struct NamedId: Decodable {
    let id: Int

    init(from decoder: any Decoder) throws {
      var pair = try decoder.unkeyedContainer()
      _ = try pair.decode(String.self)
      id = try pair.decode(Int.self)
    }
  }
}
