#include "tables.h"

#include <string.h>

const TuskKernels *tusk_kernels_select(const char *cap, TuskSelection *selection) {
  (void)cap;
  if (selection) *selection = (TuskSelection){.unknownName = false, .failedName = NULL};
  return &tusk_kernels_portable;
}
