/// Answers a text with a model and one of its tasks.
///
///     example BACKBONE.tusk [TASK.tusk] TEXT
///
/// A model with a decoder writes its answer token by token. An encoder prints the label and the score of each, the
/// number of a regression, or the first numbers of an embedding. Two texts for an encoder have a tab between them.
#include <stdio.h>
#include <string.h>

#include "tusk.h"

/// Prints what a call left behind if it failed.
static bool is_good(tusk_status status, const char *message) {
  if (status != TUSK_OK) fprintf(stderr, "example: %s: %s\n", tusk_status_name(status), message);
  return status == TUSK_OK;
}

static bool print_token(void *context, int32_t id, const char *text, size_t count) {
  (void)context;
  (void)id;
  fwrite(text, 1, count, stdout);
  fflush(stdout);
  return true;
}

static tusk_status generate(tusk_session *session, const char *text) {
  tusk_text answer;
  tusk_status status = tusk_session_generate_text(session, text, strlen(text), 0, print_token, NULL, &answer);
  if (status == TUSK_OK) putchar('\n');
  return status;
}

static tusk_status embed(tusk_session *session, const char *text) {
  tusk_matrix embedding;
  tusk_status status = tusk_session_embed_text(session, text, strlen(text), &embedding);
  if (status != TUSK_OK) return status;
  printf("%zu numbers:", embedding.columns);
  for (size_t i = 0; i < embedding.columns && i < 4; i++) printf(" %.4f", (double)embedding.values[i]);
  puts(" ...");
  return status;
}

static tusk_status classify(tusk_model *model, tusk_session *session, int32_t task, const char *text) {
  const char *tab = strchr(text, '\t');
  size_t count = tab == NULL ? strlen(text) : (size_t)(tab - text);
  tusk_matrix scores;
  int32_t best;
  tusk_status status = tusk_session_classify_text(
      session, text, count, tab == NULL ? NULL : tab + 1, tab == NULL ? 0 : strlen(tab + 1), &scores, &best);
  if (status != TUSK_OK) return status;
  for (int32_t i = 0; i < (int32_t)scores.columns; i++) {
    tusk_text label = {0};
    tusk_model_get_label(model, task, i, &label);
    printf("%c %.*s %.4f\n", i == best ? '*' : ' ', (int)label.count, label.bytes, (double)scores.values[i]);
  }
  return status;
}

/// The number of the last task, or the backbone alone; what its head makes.
static tusk_status choose_task(tusk_model *model, int32_t *task, int32_t *head, int32_t *architecture) {
  tusk_model_info info = {.struct_bytes = sizeof info};
  tusk_status status = tusk_model_get_info(model, &info);
  if (status != TUSK_OK) return status;
  *architecture = info.architecture;
  *task = info.tasks > 0 ? info.tasks - 1 : TUSK_NO_TASK;
  tusk_task_info about = {.struct_bytes = sizeof about};
  status = tusk_model_get_task(model, *task, &about);
  *head = about.head;
  return status;
}

static bool run(tusk_model *model, int count, char **arguments) {
  if (!is_good(tusk_model_open_path(model, arguments[0]), tusk_model_last_message(model))) return false;
  for (int i = 1; i < count - 1; i++) {
    if (!is_good(tusk_model_mount_path(model, arguments[i]), tusk_model_last_message(model))) return false;
  }
  int32_t task = TUSK_NO_TASK, head = TUSK_HEAD_NONE, architecture = 0;
  if (!is_good(choose_task(model, &task, &head, &architecture), "the model")) return false;
  tusk_session *session;
  tusk_session_options options = {.struct_bytes = sizeof options, .source_tokens = 128, .target_tokens = 32};
  if (!is_good(tusk_session_create(model, &options, &session), tusk_model_last_message(model))) return false;
  const char *text = arguments[count - 1];
  tusk_status status = tusk_session_set_task(session, task);
  if (status == TUSK_OK) {
    status = architecture == TUSK_ENCODER_DECODER ? generate(session, text)
             : head == TUSK_HEAD_EMBEDDING        ? embed(session, text)
                                                  : classify(model, session, task, text);
  }
  bool isGood = is_good(status, tusk_session_last_message(session));
  tusk_session_destroy(session);
  return isGood;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s BACKBONE.tusk [TASK.tusk] TEXT\n", argv[0]);
    return 64;
  }
  tusk_model *model;
  if (tusk_model_create(NULL, 0, &model) != TUSK_OK) return 70;
  bool isGood = run(model, argc - 1, argv + 1);
  tusk_model_destroy(model);
  return isGood ? 0 : 65;
}
