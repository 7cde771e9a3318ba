// Encodes and decodes once with llama.cpp, as `tusk-nano --input-ids --decoder-input-ids` does it with Tusk:
//
//   llama_t5 MODEL.gguf SOURCE-IDS TARGET-IDS THREADS
//
// Ids are separated by commas. Target tokens are fed one by one, each in a step of its own, as in greedy decoding, but what
// is fed does not depend on what was chosen: both engines get the same. Logits go to standard output as raw float32.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llama.h"

enum { MOST_IDS = 4096 };

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "llama_t5: %s\n", what);
  exit(1);
}

static int read_ids(const char *text, llama_token *ids) {
  int count = 0;
  while (*text) {
    char *end;
    if (count == MOST_IDS) fail("too many ids");
    ids[count++] = (llama_token)strtol(text, &end, 10);
    if (end == text) fail("ids are numbers separated by commas");
    text = *end == ',' ? end + 1 : end;
  }
  if (count == 0) fail("no ids");
  return count;
}

static void drop_message(enum ggml_log_level level, const char *text, void *unused) {
  (void)unused;
  if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

int main(int count, char **arguments) {
  static llama_token source[MOST_IDS], target[MOST_IDS];
  if (count != 5) fail("takes MODEL.gguf SOURCE-IDS TARGET-IDS THREADS");
  const int sources = read_ids(arguments[2], source), targets = read_ids(arguments[3], target);
  const int threads = atoi(arguments[4]);
  llama_log_set(drop_message, NULL);
  llama_backend_init();

  struct llama_model_params model_options = llama_model_default_params();
  model_options.load_mode = LLAMA_LOAD_MODE_MMAP;
  // Repacked weights would be a private copy, which cannot be given back to the kernel when memory is short.
  model_options.use_extra_bufts = false;
  struct llama_model *model = llama_model_load_from_file(arguments[1], model_options);
  if (!model) fail("cannot load the model");

  // Buffers are as large as these ask for: no larger than the work, so that memory is left for weights.
  struct llama_context_params options = llama_context_default_params();
  const int longest = sources > targets ? sources : targets;
  options.n_ctx = (uint32_t)longest;
  options.n_batch = options.n_ubatch = (uint32_t)sources;
  options.n_threads = options.n_threads_batch = threads;
  struct llama_context *context = llama_init_from_model(model, options);
  if (!context) fail("cannot make a context");

  const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  if (llama_encode(context, llama_batch_get_one(source, sources))) fail("cannot encode");
  for (int step = 0; step < targets; ++step) {
    if (llama_decode(context, llama_batch_get_one(target + step, 1))) fail("cannot decode");
    const float *logits = llama_get_logits_ith(context, -1);
    if (!logits || fwrite(logits, sizeof *logits, (size_t)vocabulary, stdout) != (size_t)vocabulary) fail("no logits");
  }
  llama_free(context);
  llama_model_free(model);
  return fflush(stdout) != 0;
}
