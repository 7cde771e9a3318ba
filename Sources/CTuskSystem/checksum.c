#include "tusk_checksum.h"

#include <stdatomic.h>
#include <string.h>

/// `tables[k][b]`: the checksum's change for byte `b` followed by `k` zero bytes, so that eight bytes cost eight look-ups
/// that do not wait for one another.
static uint32_t tables[8][256];
static atomic_int tables_ready;

static void fill_tables(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (0xEDB88320u & (0u - (value & 1)));
    tables[0][byte] = value;
  }
  for (uint32_t byte = 0; byte < 256; byte++) {
    for (int k = 1; k < 8; k++) tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xFF];
  }
  // Two threads may fill the tables at once: both write the same values.
  atomic_store_explicit(&tables_ready, 1, memory_order_release);
}

uint32_t tusk_crc32(uint32_t checksum, const void *bytes, size_t count) {
  if (!atomic_load_explicit(&tables_ready, memory_order_acquire)) fill_tables();
  const uint8_t *next = bytes;
  uint32_t value = ~checksum;
  for (; count >= 8; count -= 8, next += 8) {
    uint32_t low, high;
    memcpy(&low, next, 4);
    memcpy(&high, next + 4, 4);
    low ^= value;
    value = tables[7][low & 0xFF] ^ tables[6][(low >> 8) & 0xFF] ^ tables[5][(low >> 16) & 0xFF] ^ tables[4][low >> 24] ^
            tables[3][high & 0xFF] ^ tables[2][(high >> 8) & 0xFF] ^ tables[1][(high >> 16) & 0xFF] ^
            tables[0][high >> 24];
  }
  for (; count > 0; count--, next++) value = (value >> 8) ^ tables[0][(value ^ *next) & 0xFF];
  return ~value;
}
