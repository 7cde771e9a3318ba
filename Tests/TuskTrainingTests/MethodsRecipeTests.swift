import Testing

@testable import TuskTraining

@Suite struct MethodsRecipeTests {
  private func recipe(
    _ method: TrainingMethod, _ dialect: TrainingDialect = .authors, examples: Int = 3_668,
    _ change: (inout MethodSettings) -> Void = { _ in }
  ) -> TrainingRecipe {
    TrainingRecipe(MethodSettings(method, dialect: dialect).with(change), exampleCount: examples)
  }

  @Test func ratesOfTheAuthors() {
    let rates: [(TrainingMethod, Double)] = [
      (.compacter, 3e-3), (.compacterPlusPlus, 3e-3), (.phm, 3e-3), (.lowRank, 3e-3), (.adapter, 3e-4),
      (.pfeiffer, 3e-4), (.adapterDrop, 3e-4), (.bitfit, 3e-4), (.full, 3e-4), (.intrinsicSAID, 3e-2), (.prompt, 3e-2),
    ]
    for (method, rate) in rates { #expect(recipe(method).learningRate == rate) }
    #expect(recipe(.prompt) { $0.promptStart = .vocabulary }.learningRate == 3e-1)
  }

  @Test func stepsOfTheAuthors() {
    let small = recipe(.compacter)
    #expect(small.batchSize == 100 && small.warmupSteps == 500 && small.epochs == 20)
    #expect(small.clipNorm == 1 && small.beta1 == 0.9 && small.beta2 == 0.999 && small.epsilon == 1e-8)
    #expect(small.weightDecay == 0 && small.dropout == 0.1 && small.seed == 42)
    #expect(small.maxSourceTokens == 128 && small.maxTargetTokens == 128)
    #expect(recipe(.compacter, examples: 67_349).epochs == 3)
  }

  @Test func recipeOfTheLibrary() {
    let adapter = recipe(.pfeiffer, .adapterhub)
    #expect(adapter.learningRate == 1e-4 && adapter.batchSize == 32 && adapter.epochs == 10)
    #expect(adapter.warmupSteps == 0)
    #expect(recipe(.compacter, .adapterhub).learningRate == 3e-3)
    #expect(recipe(.compacter, .adapterhub).source != adapter.source)
  }
}
