#include "attention_rows.h"
#include "lanes.h"

/// Rows that meet a vector of y while it is in a register.
enum { COMBINED_ROWS = 4 };

/// y += sum of factors[i] rows[i] over `count` rows, in order.
INLINE void ISA(combine_rows)(const void *const *rows, const float *factors, const int count, size_t K, float *y,
                              const TuskElement element) {
  size_t k = 0;
  for (; k + LANES <= K; k += LANES) {
    f32x8 sum = load(y + k);
    for (int i = 0; i < count; i++) sum += splat(factors[i]) * ISA(load_row)(rows[i], k, element);
    store(y + k, sum);
  }
  for (; k < K; k++) {
    for (int i = 0; i < count; i++) y[k] += factors[i] * ISA(load_one)(rows[i], k, element);
  }
}

INLINE void ISA(combine_block)(const TuskCombine *p, size_t n, const int count, const TuskElement element) {
  const void *rows[COMBINED_ROWS];
  for (int i = 0; i < count; i++) {
    rows[i] = (const char *)p->rows + (n + (size_t)i) * p->rowStride * ISA(element_bytes)(element);
  }
  for (size_t m = 0; m < p->M; m++) {
    float factors[COMBINED_ROWS];
    for (int i = 0; i < count; i++) {
      size_t row = n + (size_t)i;
      factors[i] = p->x[m * p->xStride + row] * (p->scales ? p->scales[row] : 1.0f);
    }
    ISA(combine_rows)(rows, factors, count, p->K, p->y + m * p->yStride, element);
  }
}

INLINE void ISA(combine_all)(const TuskCombine *p, const TuskElement element) {
  size_t n = 0;
  for (; n + COMBINED_ROWS <= p->N; n += COMBINED_ROWS) ISA(combine_block)(p, n, COMBINED_ROWS, element);
  for (; n < p->N; n++) ISA(combine_block)(p, n, 1, element);
}

static void ISA(combine_f32)(const TuskCombine *p) {
  for (size_t m = 0; m < p->M; m++) __builtin_memset(p->y + m * p->yStride, 0, p->K * sizeof(float));
#define COMBINE(element) ISA(combine_all)(p, element)
  WITH_ELEMENT(p->element, COMBINE);
#undef COMBINE
}
