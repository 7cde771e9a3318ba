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

/// Scratch: keys transposed [dKV, KEY_TILE], weights of a group of queries [QUERY_GROUP, KEY_TILE], the running maximum
/// and sum of each query of a block, and the scales of a tile's keys and values.
static inline size_t attention_scratch_floats(size_t dKV) {
  return dKV * KEY_TILE + QUERY_GROUP * KEY_TILE + 2 * QUERY_BLOCK + 2 * KEY_TILE;
}

#endif
