#ifndef TUSK_ATTENTION_PLAN_H
#define TUSK_ATTENTION_PLAN_H

#include <stddef.h>

/// Keys of one step of the online softmax. Tiles start at multiples of it whatever the query, so that a query meets its
/// keys in the same groups alone and in a batch.
enum { KEY_TILE = 64 };

/// Queries that share one transposed tile of keys.
enum { QUERY_BLOCK = 64 };

/// Queries whose scores are in registers at once.
enum { QUERY_GROUP = 4 };

/// Columns of values that groups of queries meet in a row.
enum { STRIP = 16 };

/// Scratch: keys transposed [dKV, KEY_TILE], weights [QUERY_BLOCK, KEY_TILE] of the queries of a block, of each its running
/// maximum, its sum and the factor of what was added before, a strip of values [KEY_TILE, STRIP], and the scales of a
/// tile's keys and values.
static inline size_t attention_scratch_floats(size_t dKV) {
  return dKV * KEY_TILE + QUERY_BLOCK * KEY_TILE + 3 * QUERY_BLOCK + KEY_TILE * STRIP + 2 * KEY_TILE;
}

#endif
