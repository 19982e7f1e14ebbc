#pragma once
#include <zlib.h>

// deflateInit2 and inflateInit2 are macros, which Swift does not import.
static inline int roost_deflateInit2(z_streamp s, int level, int windowBits, int memLevel) {
  return deflateInit2(s, level, Z_DEFLATED, windowBits, memLevel, Z_DEFAULT_STRATEGY);
}
static inline int roost_inflateInit2(z_streamp s, int windowBits) { return inflateInit2(s, windowBits); }
