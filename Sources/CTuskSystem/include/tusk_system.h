#ifndef TUSK_SYSTEM_H
#define TUSK_SYSTEM_H

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Tusk reads its files in place, and they are little-endian: it needs a little-endian machine"
#endif

#include "tusk_checksum.h"
#include "tusk_directory.h"
#include "tusk_file.h"
#include "tusk_math.h"
#include "tusk_memory.h"
#include "tusk_machine.h"
#include "tusk_pool.h"
#include "tusk_read.h"

#endif
