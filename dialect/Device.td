//===- Device.td - Ops that a device computes ------------------------------------------===//
#ifndef ATTN_DEVICE_TD
#define ATTN_DEVICE_TD

// Included at the end of AttnOps.td, which holds the base classes.

def Attn_PipelineOp : Attn_Op<"pipeline", [IsolatedFromAbove, NoTerminator, SingleBlock, Symbol]> {
  let summary = "what one launch computes";
  let description = [{
    Made by `attn-outline-pipelines`: an op on buffers that the backend compiles for its device. Block arguments are what the op
    uses, in any order: buffers without a layout (their strides are known when it runs), and scalars.

    ```mlir
    attn.pipeline @layer_norm {
    ^bb0(%x: memref<?x?x64xf32>, %scale: memref<64xf32>, %shift: memref<64xf32>, %y: memref<?x?x64xf32>):
      attn.layer_norm %x, %scale, %shift outs %y : (memref<?x?x64xf32>, memref<64xf32>, memref<64xf32>, memref<?x?x64xf32>) -> ()
    }
    ```
    Constraints: (C1) arguments are buffers of rank 1 to 8, integers, indices or floats.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Attn_LaunchOp : Attn_Op<"launch", [AttrSizedOperandSegments, DeclareOpInterfaceMethods<SymbolUserOpInterface>,
                                       DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "run a pipeline on the device";
  let description = [{
    The pipeline's arguments are `inputs` and then `inits`, which it writes; a cache's pages are among `inits`. `op` is the name
    that profiles show, `flop` the arithmetic and `bytes` the memory traffic (see `attn.cost`).
    Constraints: (C1) `pipeline` is an `attn.pipeline` of this module with arguments of these shapes and element types.
  }];
  let arguments = (ins FlatSymbolRefAttr:$pipeline, Index:$flop, Index:$bytes, Variadic<AnyType>:$inputs,
                       Variadic<AnyMemRef>:$inits, StrAttr:$op);
  let assemblyFormat = [{ $pipeline `(` $inputs `)` `outs` `(` $inits `)` $op `flop` $flop `bytes` $bytes attr-dict
                          `:` functional-type($inputs, $inits) }];
}

def Attn_CheckIdsOp : Attn_Op<"check_ids", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "stop the run unless all ids are in range";
  let description = [{
    On the host, before a launch whose device cannot fail: 0 ≤ id < `below`, else the status `range` and `message`. Ids that an
    optional argument would bring, which is absent at run time, are fine.
  }];
  let arguments = (ins Attn_IdBuffer:$ids, Index:$below, StrAttr:$message);
  let assemblyFormat = "$ids `below` $below `,` $message attr-dict `:` type($ids)";
}

class Attn_CopyOp<string mnemonic, string to> : Attn_Op<mnemonic, [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "copy a buffer into the memory of the " # to;
  let description = "The elements of a view, for devices with a memory of their own: see `attn-insert-copies`.";
  let arguments = (ins AnyMemRef:$buffer);
  let assemblyFormat = "$buffer attr-dict `:` type($buffer)";
}
def Attn_CopyToHostOp : Attn_CopyOp<"copy_to_host", "host">;
def Attn_CopyToDeviceOp : Attn_CopyOp<"copy_to_device", "device">;

#endif // ATTN_DEVICE_TD
