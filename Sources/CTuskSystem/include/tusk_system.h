#ifndef TUSK_SYSTEM_H
#define TUSK_SYSTEM_H

#include "tusk_file.h"

#endif
