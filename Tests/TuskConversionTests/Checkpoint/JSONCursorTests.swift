import Testing

@testable import TuskConversion

private func parse(_ text: [UInt8]) throws(ConversionError) -> JSONValue {
  var cursor = JSONCursor(text, file: "x.json", base: 100)
  let value = try cursor.value()
  try cursor.end()
  return value
}

@Test func jsonIsReadAsItsGrammarSays() throws {
  let text = #" {"a":[1,-0,2.5,1e2,true,false,null,{}],"\u00e9\ud83d\ude00\n\/":"é😀","b":[]} "#
  #expect(
    try parse(Array(text.utf8))
      == .object([
        "a": .array([
          .integer(1), .integer(0), .number(2.5), .number(100), .bool(true), .bool(false), .null, .object([:]),
        ]),
        "é😀\n/": .string("é😀"), "b": .array([]),
      ]))
}

@Test(arguments: [
  "", "{", "[", "{}}", "[1,]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "01",
  "-",
  "1.", ".5", "1e", "+1", "1e999", "9223372036854775808", "NaN", "Infinity", "tru", "nul", "\"", "\"\\\"", "\"\\x\"",
  "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"a\nb\"", "'a'", "[1 2]", "// comment\n1",
  String(repeating: "[", count: 100_000), String(repeating: "{\"a\":", count: 100_000),
  String(repeating: "1", count: 65),
])
func whatIsNotJSONIsRefused(text: String) {
  let error = #expect(throws: ConversionError.self) { try parse(Array(text.utf8)) }
  #expect(error?.kind == .malformed && (error?.offset ?? 0) >= 100)
}

@Test func invalidUTF8IsRefused() {
  for bytes: [UInt8] in [
    [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xE2, 0x22],
  ] {
    #expect(throws: ConversionError.self) { try parse(bytes) }
  }
}
