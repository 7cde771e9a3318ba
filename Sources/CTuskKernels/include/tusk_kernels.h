#ifndef TUSK_KERNELS_H
#define TUSK_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#endif
