//===- NameDims.cpp - Complete and check the description of every entry ------------------===//
#include "passes/Passes.h"
namespace attnc {
#define GEN_PASS_DEF_NAMEDIMS
#include "passes/Passes.h.inc"
namespace {
struct NameDims : impl::NameDimsBase<NameDims> {
  void runOnOperation() override {}
};
} // namespace
} // namespace attnc
