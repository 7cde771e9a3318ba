/// Counts what libtusk takes from malloc when it works in the caller's memory, from making the model to destroying it;
/// then gives it a text that this memory has no room for. Without the Swift runtime the count must be 0.
///
///     allocations BACKBONE TASK... -- LINE...
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "allocation_counter.h"
#include "tusk.h"

enum { FILES = 16, TEXT_BYTES = 1024, LONG_BYTES = 100000 };

typedef struct {
  void *bytes[FILES];
  size_t counts[FILES];
  int count;
} Files;

static void require(tusk_status status, const char *what, const char *message) {
  if (status == TUSK_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, tusk_status_name(status), message);
  exit(1);
}

static void *aligned(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (memory == NULL) exit(70);
  memset(memory, 0xA5, bytes);
  return memory;
}

/// Reads a file to where the library may use it in place.
static void read_file(Files *files, const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) exit(66);
  size_t count = (size_t)ftell(file);
  void *bytes = aligned(count);
  rewind(file);
  if (fread(bytes, 1, count, file) != count) exit(66);
  fclose(file);
  files->bytes[files->count] = bytes;
  files->counts[files->count++] = count;
}

static tusk_model *open_model(const Files *files, void *memory, size_t memoryBytes) {
  tusk_model *model;
  require(tusk_model_create(memory, memoryBytes, &model), "create", "");
  require(tusk_model_open_memory(model, files->bytes[0], files->counts[0]), "open", tusk_model_last_message(model));
  for (int i = 1; i < files->count; i++) {
    require(tusk_model_mount_memory(model, files->bytes[i], files->counts[i]), "mount", tusk_model_last_message(model));
  }
  return model;
}

/// Answers `text`, of an encoder as the label of a pair.
static tusk_status answer(tusk_session *session, bool isEncoder, const char *text, size_t count) {
  tusk_text result;
  tusk_matrix scores;
  if (isEncoder) return tusk_session_classify_text(session, text, count, text, count, &scores, NULL);
  return tusk_session_generate_text(session, text, count, 0, NULL, NULL, &result);
}

static void use(const Files *files, void *modelMemory, const tusk_session_options *options, int count, char **lines) {
  tusk_model *model = open_model(files, modelMemory, TUSK_MODEL_MEMORY_BYTES);
  tusk_model_info info = {.struct_bytes = sizeof info};
  require(tusk_model_get_info(model, &info), "info", "");
  tusk_session *session;
  require(tusk_session_create(model, options, &session), "session", tusk_model_last_message(model));
  for (int line = 0; line < count; line++) {
    for (int32_t task = 0; task < info.tasks; task++) {
      require(tusk_session_set_task(session, task), "task", tusk_session_last_message(session));
      require(answer(session, info.architecture == TUSK_ENCODER, lines[line], strlen(lines[line])), lines[line],
              tusk_session_last_message(session));
    }
  }
  require(tusk_session_destroy(session), "destroy", "");
  require(tusk_model_destroy(model), "destroy", "");
}

/// A text too long for the memory is refused, and the session answers as before.
static void exhaust(const Files *files, void *modelMemory, const tusk_session_options *options) {
  tusk_model *model = open_model(files, modelMemory, TUSK_MODEL_MEMORY_BYTES);
  tusk_model_info info = {.struct_bytes = sizeof info};
  require(tusk_model_get_info(model, &info), "info", "");
  tusk_session *session;
  require(tusk_session_create(model, options, &session), "session", tusk_model_last_message(model));
  require(tusk_session_set_task(session, 0), "task", "");
  char *text = malloc(LONG_BYTES);
  memset(text, 'a', LONG_BYTES);
  tusk_status status = answer(session, info.architecture == TUSK_ENCODER, text, LONG_BYTES);
  printf("a long text: %s\n", tusk_status_name(status));
  require(answer(session, info.architecture == TUSK_ENCODER, text, 8), "a short text", "");
  free(text);
  require(tusk_session_destroy(session), "destroy", "");
  require(tusk_model_destroy(model), "destroy", "");
}

int main(int argc, char **argv) {
  Files files = {.count = 0};
  int next = 1;
  while (next < argc && files.count < FILES && strcmp(argv[next], "--") != 0) read_file(&files, argv[next++]);
  tusk_session_options options = {.struct_bytes = sizeof options, .source_tokens = 64, .target_tokens = 24};
  options.text_bytes = TEXT_BYTES;
  options.truncates = true;
  tusk_footprint footprint = {.struct_bytes = sizeof footprint};
  tusk_model *model = open_model(&files, NULL, 0);
  require(tusk_model_plan_session(model, &options, &footprint), "plan", tusk_model_last_message(model));
  require(tusk_model_destroy(model), "destroy", "");

  void *modelMemory = aligned(TUSK_MODEL_MEMORY_BYTES);
  options.memory = aligned((size_t)footprint.session_bytes);
  options.memory_bytes = (size_t)footprint.session_bytes;
  uint64_t before = allocation_count();
  use(&files, modelMemory, &options, argc - next - 1, argv + next + 1);
  printf("allocations: %llu\n", (unsigned long long)(allocation_count() - before));
  exhaust(&files, modelMemory, &options);
  return 0;
}
