/// Every float operation for one ISA. Elementwise comes first: attention and Kronecker use it.
#include "elementwise.h"
#include "attention.h"
#include "kronecker.h"
#include "matmul_f32.h"
#include "norms.h"
#include "quantize.h"
#include "reduce.h"
#include "table.h"
