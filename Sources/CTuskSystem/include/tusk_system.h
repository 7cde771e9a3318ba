#ifndef TUSK_SYSTEM_H
#define TUSK_SYSTEM_H

#include "tusk_checksum.h"
#include "tusk_file.h"
#include "tusk_math.h"
#include "tusk_memory.h"
#include "tusk_machine.h"
#include "tusk_pool.h"
#include "tusk_read.h"

#endif
