struct Opt {}
