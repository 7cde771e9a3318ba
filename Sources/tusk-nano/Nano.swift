import TuskFormat

@_cdecl("tusk_nano_main")
func main(argc: Int32, argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Int32 {
  do throws(FormatError) { print(try Mapping(path: argv[Int(argc) - 1]!).count) } catch { return 66 }
  return 0
}
