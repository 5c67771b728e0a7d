/* describe.h: private to attn-run. */
#ifndef ATTN_RUN_DESCRIBE_H
#define ATTN_RUN_DESCRIBE_H

#include "attn_runtime.h"

/* What a model file holds, for people and as one JSON object. `chosen` is the variant that this machine would
 * run, or NULL. */
void describe_text(const attn_file *file, const char *chosen, FILE *stream);
void describe_json(const attn_file *file, const char *chosen, FILE *stream);

/* "int64 [batch, seq]" */
void print_tensor_type(const attn_entry *entry, const attn_tensor_info *info, FILE *stream);

#endif /* ATTN_RUN_DESCRIBE_H */
