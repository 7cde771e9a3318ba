#include "tusk_handle.h"

bool tusk_handle_enter(tusk_handle *handle) { return __atomic_exchange_n(&handle->busy, 1, __ATOMIC_ACQUIRE) == 0; }

void tusk_handle_leave(tusk_handle *handle) { __atomic_store_n(&handle->busy, 0, __ATOMIC_RELEASE); }

void tusk_handle_add_user(tusk_handle *handle) { __atomic_fetch_add(&handle->users, 1, __ATOMIC_RELAXED); }

void tusk_handle_remove_user(tusk_handle *handle) { __atomic_fetch_sub(&handle->users, 1, __ATOMIC_ACQ_REL); }

uint32_t tusk_handle_user_count(const tusk_handle *handle) { return __atomic_load_n(&handle->users, __ATOMIC_ACQUIRE); }

const char *tusk_handle_message(const tusk_handle *handle) { return handle->message; }
