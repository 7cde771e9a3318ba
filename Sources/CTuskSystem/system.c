#include "tusk_system.h"
#include <fcntl.h>
int tusk_open_read(const char *path) { return open(path, O_RDONLY | O_CLOEXEC); }
