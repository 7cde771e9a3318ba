#include "tusk_kernels.h"
