#ifndef TUSK_CHECKSUM_H
#define TUSK_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/// CRC-32 of zlib and PNG over `count` more bytes; `checksum` is 0 at the start and the last result afterwards.
uint32_t tusk_crc32(uint32_t checksum, const void *bytes, size_t count);

#endif
