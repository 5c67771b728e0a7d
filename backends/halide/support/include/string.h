/* HalideRuntime.h includes string.h and, in C, uses nothing of it; for most architectures there is none here. */
