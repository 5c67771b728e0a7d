/* peak.h: what this machine can do at most, to divide an op's numbers by. */
#ifndef ATTN_TOOLS_PEAK_H
#define ATTN_TOOLS_PEAK_H

#include "attn_abi.h"

typedef struct peaks {
  double gflops;   /* f32, fused multiply-adds, 2 FLOP each */
  double read_gbs; /* reading memory; 0: could not be measured */
} peaks;

/* Of all of the host's workers together. Takes about 0.2 s. */
peaks measure_peaks(const attn_host *host);

#endif /* ATTN_TOOLS_PEAK_H */
