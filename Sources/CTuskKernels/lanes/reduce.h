#include "lanes.h"
#include "math.h"

static float ISA(max_f32)(const float *x, size_t n) {
  f32x8 largest = splat(-__builtin_inff());
  size_t k = 0;
  for (; k + LANES <= n; k += LANES) largest = larger(load(x + k), largest);
  float m = max_lanes(largest);
  for (; k < n; k++) m = x[k] > m ? x[k] : m;
  return m;
}

static size_t ISA(argmax_f32)(const float *x, size_t n) {
  float largest = ISA(max_f32)(x, n);
  for (size_t k = 0; k < n; k++) {
    if (x[k] == largest) return k;
  }
  return 0;
}

static float ISA(logsumexp_f32)(const float *x, size_t n) {
  float largest = ISA(max_f32)(x, n);
  if (largest == -__builtin_inff()) {
    for (size_t k = 0; k < n; k++) {
      if (x[k] != x[k]) return x[k];
    }
    return largest;
  }
  // Blocks of 512, so that the float sums stay short; double between blocks.
  double total = 0;
  for (size_t block = 0; block < n; block += 512) {
    size_t end = n - block < 512 ? n : block + 512;
    f32x8 sum = splat(0);
    size_t k = block;
    for (; k + LANES <= end; k += LANES) sum += exp_lanes(load(x + k) - largest);
    float tail = 0;
    if (k < end) {
      float lanes[LANES];
      store(lanes, exp_lanes(load_part(x + k, end - k) - largest));
      for (size_t i = 0; i < end - k; i++) tail += lanes[i];
    }
    total += (double)(sum_lanes(sum) + tail);
  }
  if (total != total) return (float)total;
  return (float)((double)largest + log_of((float)total));
}
