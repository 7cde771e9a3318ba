#ifndef TUSK_KRONECKER_PLAN_H
#define TUSK_KRONECKER_PLAN_H

/// Tokens that pass a layer without rule together, so that its factors are read once for all of them.
enum { KRONECKER_ROWS = 8 };

#endif
