#ifndef TUSK_HANDLE_H
#define TUSK_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

enum { TUSK_MESSAGE_BYTES = 240 };

/// What a handle has beside the objects it stands for.
typedef struct {
  /// Not 0 while a call is under way.
  uint32_t busy;
  /// Handles that need this one.
  uint32_t users;
  /// The sentence of the last failure, ended by a null character.
  char message[TUSK_MESSAGE_BYTES];
} tusk_handle;

/// False, and nothing happens, if a call is under way.
bool tusk_handle_enter(tusk_handle *handle);
void tusk_handle_leave(tusk_handle *handle);

void tusk_handle_add_user(tusk_handle *handle);
void tusk_handle_remove_user(tusk_handle *handle);
uint32_t tusk_handle_user_count(const tusk_handle *handle);

/// The message, in place: valid as long as the handle.
const char *tusk_handle_message(const tusk_handle *handle);

#pragma clang assume_nonnull end

#endif
