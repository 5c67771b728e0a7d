/* profile.h: what attn-run and attn-bench print with --profile. */
#ifndef ATTN_TOOLS_PROFILE_H
#define ATTN_TOOLS_PROFILE_H

#include "attn_runtime.h"
#include "peak.h"

#include <stdio.h>

/* The runtime's profile so far, as the mean of `runs` runs: a line per op, most time first, and a total. */
int32_t profile_text(attn_runtime *runtime, const peaks *peak, uint64_t runs, FILE *stream, attn_error *error);
/* The same as one JSON object: the machine's peaks, and sums over all runs. */
int32_t profile_json(attn_runtime *runtime, const peaks *peak, uint64_t runs, FILE *stream, attn_error *error);

#endif /* ATTN_TOOLS_PROFILE_H */
