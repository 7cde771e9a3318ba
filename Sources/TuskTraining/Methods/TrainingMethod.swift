/// A way to fine-tune: which numbers are added to a frozen backbone and trained.
/// - Source: Mahabadi, Henderson, Ruder 2021, section 4 and table 1; Hu et al. 2022 for LoRA
public enum TrainingMethod: String, CaseIterable, Sendable {
  case compacter
  case compacterPlusPlus = "compacter++"
  case phm
  case adapter
  case pfeiffer
  case adapterDrop = "adapter-drop"
  case lowRank = "low-rank"
  case prompt
  case bitfit
  case lora
  case intrinsicSAID = "intrinsic-said"
  case full
}

/// Whose form of a method is trained, where the Compacter authors' code and the `adapters` library differ: activation, input
/// of Compacter++, whether the backbone's norms are trained, and how factors begin.
public enum TrainingDialect: String, CaseIterable, Sendable {
  case authors
  case adapterhub
}
