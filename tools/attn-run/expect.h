/* expect.h: private to attn-run. */
#ifndef ATTN_RUN_EXPECT_H
#define ATTN_RUN_EXPECT_H

#include "attn_runtime.h"

/* Compares an output with what is expected: type and shape, integers exactly, floats by the largest difference, which may
 * be `tolerance` times the largest expected magnitude; a NaN is expected where the other has one. Prints the error in a
 * line. ATTN_INVALID_ARGUMENT with the worst element if it is too large, ATTN_UNSUPPORTED for 16-bit floats. */
int32_t compare_expected(const char *name, const DLTensor *got, const DLTensor *expected, double tolerance,
                         attn_error *error);

#endif /* ATTN_RUN_EXPECT_H */
