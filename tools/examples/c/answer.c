#include <stdio.h>
#include <string.h>
#include <tusk.h>

int main(int argc, char **argv) {
  if (argc != 4) return 64;
  const char *name = argv[2], *text = argv[3];
  tusk_model *model = NULL;
  tusk_session *session = NULL;
  int32_t task = TUSK_NO_TASK;
  tusk_text answer = {0};
  tusk_status status = tusk_model_create(NULL, 0, &model);
  if (status == TUSK_OK) status = tusk_model_open_path(model, argv[1]);
  if (status == TUSK_OK) status = tusk_model_find_task(model, name, strlen(name), &task);
  if (status == TUSK_OK) status = tusk_session_create(model, NULL, &session);
  if (status == TUSK_OK) status = tusk_session_set_task(session, task);
  if (status == TUSK_OK) status = tusk_session_generate_text(session, text, strlen(text), 0, NULL, NULL, &answer);
  if (status == TUSK_OK) {
    printf("%.*s\n", (int)answer.count, answer.bytes);
  } else {
    const char *message = session ? tusk_session_last_message(session) : tusk_model_last_message(model);
    fprintf(stderr, "%s: %s\n", tusk_status_name(status), message);
  }
  tusk_session_destroy(session);
  tusk_model_destroy(model);
  return tusk_status_exit_code(status);
}
