/* expect.c: --expect. */
#include "expect.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int is_float(DLDataType type) { return type.code == kDLFloat || type.code == kDLBfloat; }

static double element(const DLTensor *t, int64_t i) {
  return t->dtype.bits == 64 ? ((const double *)t->data)[i] : ((const float *)t->data)[i];
}

int32_t compare_expected(const char *name, const DLTensor *got, const DLTensor *expected, double tolerance,
                         attn_error *error) {
  const DLDataType type = got->dtype;
  int same = type.code == expected->dtype.code && type.bits == expected->dtype.bits && got->ndim == expected->ndim;
  int64_t n = 1;
  for (int32_t d = 0; same && d < got->ndim; n *= got->shape[d++])
    same = got->shape[d] == expected->shape[d];
  char shape[2][ATTN_SHAPE_TEXT];
  if (!same)
    return attn_fail(error, ATTN_INVALID_ARGUMENT, "%s: expected %s %s, got %s %s", name,
                     attn_dtype_name(expected->dtype), attn_shape_text(expected->ndim, expected->shape, shape[0]),
                     attn_dtype_name(type), attn_shape_text(got->ndim, got->shape, shape[1]));
  if (!is_float(type)) {
    const size_t bytes = type.bits / 8u;
    for (int64_t i = 0; i < n; ++i)
      if (memcmp((const char *)got->data + (size_t)i * bytes, (const char *)expected->data + (size_t)i * bytes, bytes))
        return attn_fail(error, ATTN_INVALID_ARGUMENT, "%s: element %lld is not the expected one", name, (long long)i);
    printf("%s: as expected\n", name);
    return ATTN_OK;
  }
  if (type.bits < 32)
    return attn_fail(error, ATTN_UNSUPPORTED, "%s: expected float32, float64 or integers for --expect, got %s", name,
                     attn_dtype_name(type));
  double largest = 0, worst = 0;
  int64_t at = 0;
  for (int64_t i = 0; i < n; ++i) {
    double want = element(expected, i), difference = fabs(element(got, i) - want);
    if (isnan(want) && isnan(element(got, i)))
      continue;
    if (element(got, i) == want) /* infinities */
      difference = 0;
    if (isfinite(want) && fabs(want) > largest)
      largest = fabs(want);
    if (!(difference <= worst)) { /* or NaN, which stays */
      worst = isnan(difference) ? INFINITY : difference;
      at = i;
    }
  }
  if (worst > tolerance * largest)
    return attn_fail(error, ATTN_INVALID_ARGUMENT, "%s: expected %g at element %lld, got %g: more than %g of the largest",
                     name, element(expected, at), (long long)at, element(got, at), tolerance);
  printf("%s: as expected, error %.2g of the largest\n", name, largest > 0 ? worst / largest : worst);
  return ATTN_OK;
}
