// RUN: attn-opt %s --split-input-file --verify-diagnostics

// The tasks of attention.

// online_attention C1
func.func @online_query(%q: memref<?x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>, %o: memref<?x2x8xf32>) {
  // expected-error @below {{expected query of rank 3, got 'memref<?x8xf32>'}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %v outs %o scratch %s : memref<?x8xf32>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x16xf32>, memref<?x2x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C1
func.func @online_outs(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>, %o: memref<?x8xf32>) {
  // expected-error @below {{expected outs of rank 3, got 'memref<?x8xf32>'}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %v outs %o scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x16xf32>, memref<?x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C1
func.func @online_key(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>) {
  // expected-error @below {{expected key of rank 3, got 'memref<?x16xf32>'}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %v, %v outs %q scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?x16xf32>, memref<?x16xf32>, memref<?x2x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C1
func.func @online_value(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>) {
  // expected-error @below {{expected value of rank 2, got 'memref<?x8x64xf32>'}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %k outs %q scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x8x64xf32>, memref<?x2x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C1
func.func @online_bias(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>, %x: memref<?x?xf32>) {
  // expected-error @below {{expected bias of rank 3, got 'memref<?x?xf32>'}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %v bias %x outs %q scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x16xf32>, memref<?x?xf32>, memref<?x2x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C1
func.func @online_key_mask(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>, %x: memref<?x?xi64>) {
  // expected-error @below {{expected key_mask of rank 1, got 'memref<?x?xi64>'}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %v key_mask %x outs %q scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x16xf32>, memref<?x?xi64>, memref<?x2x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C1
func.func @online_sink_logits(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>, %x: memref<?x2xf32>) {
  // expected-error @below {{expected sink_logits of rank 1, got 'memref<?x2xf32>'}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %v sink_logits %x outs %q scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x16xf32>, memref<?x2xf32>, memref<?x2x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C1
func.func @online_lse(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>, %x: memref<?xf32>) {
  // expected-error @below {{expected lse of rank 2, got 'memref<?xf32>'}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %v outs %q lse %x scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x16xf32>, memref<?x2x8xf32>, memref<?xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C1
func.func @online_partial(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>, %x: memref<?x2xf32>) {
  // expected-error @below {{expected partial of rank 3, got 'memref<?x2xf32>'}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %v outs %q partial %x scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x16xf32>, memref<?x2x8xf32>, memref<?x2xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C1
func.func @online_pages(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>, %p: memref<?x4xf32>, %t: memref<?xi32>) {
  // expected-error @below {{expected pages of rank 1, got 'memref<?x4xf32>'}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n pages %p[%t] of %n stride %n at %n, %n outs %q scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?x4xf32>, memref<?xi32>, index, index, index, index, memref<?x2x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C1
func.func @online_table(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>, %p: memref<?xf32>, %t: memref<?x4xi32>) {
  // expected-error @below {{expected table of rank 1, got 'memref<?x4xi32>'}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n pages %p[%t] of %n stride %n at %n, %n outs %q scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?xf32>, memref<?x4xi32>, index, index, index, index, memref<?x2x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C2
func.func @online_no_keys(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>) {
  // expected-error @below {{expected either key and value, or all of the cache's operands}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n outs %q scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?x2x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention C2
func.func @online_both_keys(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>, %p: memref<?xf32>, %t: memref<?xi32>) {
  // expected-error @below {{expected either key and value, or all of the cache's operands}}
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %v pages %p[%t] of %n stride %n at %n, %n outs %q scratch %s : memref<?x2x8xf32>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x16xf32>, memref<?xf32>, memref<?xi32>, index, index, index, index, memref<?x2x8xf32>, memref<?x?xi8>
  return
}

// -----

// online_attention: regions
func.func @online_mask_yields(%q: memref<?x2x8xf32>, %n: index, %k: memref<?x8x64xf32>, %v: memref<?x16xf32>, %s: memref<?x?xi8>, %f: f32) {
  attn.online_attention %q batch %n head %n first %n offset %n keys %n packed %k, %v outs %q scratch %s mask(%b, %h, %i, %j) {
    // expected-error @below {{expected 'mask' to yield i1, got 'f32'}}
    attn.yield %f : f32
  } : memref<?x2x8xf32>, index, index, index, index, index, memref<?x8x64xf32>, memref<?x16xf32>, memref<?x2x8xf32>, memref<?x?xi8>
  return
}

// -----

// merge_attention C1
func.func @merge_parts(%p: memref<?x16xf32>, %m: memref<?x?x2xf32>, %l: memref<?xf32>, %o: memref<?x2x8xf32>, %e: memref<?x2xf32>) {
  // expected-error @below {{expected parts of rank 3, got 'memref<?x16xf32>'}}
  attn.merge_attention %p, %m sink_logits %l outs %o lse %e : memref<?x16xf32>, memref<?x?x2xf32>, memref<?xf32>, memref<?x2x8xf32>, memref<?x2xf32>
  return
}

// -----

// merge_attention C1
func.func @merge_maxima(%p: memref<?x?x16xf32>, %m: memref<?x2xf32>, %l: memref<?xf32>, %o: memref<?x2x8xf32>, %e: memref<?x2xf32>) {
  // expected-error @below {{expected maxima of rank 3, got 'memref<?x2xf32>'}}
  attn.merge_attention %p, %m sink_logits %l outs %o lse %e : memref<?x?x16xf32>, memref<?x2xf32>, memref<?xf32>, memref<?x2x8xf32>, memref<?x2xf32>
  return
}

// -----

// merge_attention C1
func.func @merge_sink_logits(%p: memref<?x?x16xf32>, %m: memref<?x?x2xf32>, %l: memref<?x2xf32>, %o: memref<?x2x8xf32>, %e: memref<?x2xf32>) {
  // expected-error @below {{expected sink_logits of rank 1, got 'memref<?x2xf32>'}}
  attn.merge_attention %p, %m sink_logits %l outs %o lse %e : memref<?x?x16xf32>, memref<?x?x2xf32>, memref<?x2xf32>, memref<?x2x8xf32>, memref<?x2xf32>
  return
}

// -----

// merge_attention C1
func.func @merge_outs(%p: memref<?x?x16xf32>, %m: memref<?x?x2xf32>, %l: memref<?xf32>, %o: memref<?x8xf32>, %e: memref<?x2xf32>) {
  // expected-error @below {{expected outs of rank 3, got 'memref<?x8xf32>'}}
  attn.merge_attention %p, %m sink_logits %l outs %o lse %e : memref<?x?x16xf32>, memref<?x?x2xf32>, memref<?xf32>, memref<?x8xf32>, memref<?x2xf32>
  return
}

// -----

// merge_attention C1
func.func @merge_lse(%p: memref<?x?x16xf32>, %m: memref<?x?x2xf32>, %l: memref<?xf32>, %o: memref<?x2x8xf32>, %e: memref<?xf32>) {
  // expected-error @below {{expected lse of rank 2, got 'memref<?xf32>'}}
  attn.merge_attention %p, %m sink_logits %l outs %o lse %e : memref<?x?x16xf32>, memref<?x?x2xf32>, memref<?xf32>, memref<?x2x8xf32>, memref<?xf32>
  return
}
