//===- EmitPositions.cpp - Positions, sinusoids and rotations to vector loops ---------------===//
#include "passes/Positions.h"
#include "passes/RowPattern.h"

namespace attnc {
using namespace attn;

namespace {

/// Lanes `at` of `v`, in this order.
Value shuffle(Emit &e, Value v, Value w, function_ref<int64_t(int64_t)> at) {
  auto lanes = llvm::map_to_vector(llvm::seq(e.lanes), at);
  return vector::ShuffleOp::create(e.b, e.loc, v, w, lanes);
}

//===----------------------------------------------------------------------===//
// Positions
//===----------------------------------------------------------------------===//

struct EmitPositions : RowPattern<PositionsOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, PositionsOp op) const override {
    auto cache = op.getCache() ? op.getCache().getDefiningOp<CacheViewOp>() : CacheViewOp();
    Value mask = op.getMask(), zero = e.idx(0);
    Type type = e.elementOf(op.getInit());
    auto number = [&](Value flag) { return e.select(flag, e.idx(1), e.idx(0)); };
    forTasks(e, e.idx(1), op, [&](Value) {
      e.loop(zero, e.dim(op.getInit(), 0), 1, [&](Value b) {
        Value past = cache ? e.toIndex(e.load1(cache.getPast(), b)) : zero;
        // Tokens of the row that count, before token s.
        Value counted = past;
        if (mask)
          counted = ifGiven(e, mask, past, [&] {
            return e.loop(zero, e.min(past, e.dim(mask, 1)), 1, {zero}, [&](Value key, ValueRange count) {
              return SmallVector<Value>{e.add(count[0], number(isKept(e, mask, {b, key})))};
            })[0];
          });
        e.loop(zero, e.dim(op.getInit(), 1), 1, {counted}, [&](Value s, ValueRange count) -> SmallVector<Value> {
          Value one = e.idx(1), position;
          if (op.getPad()) {
            Value pad = e.idx(*op.getPad()), id = e.toIndex(e.load1(op.getIds(), {b, s}));
            Value isToken = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ne, id, pad);
            one = number(isToken);
            position = e.select(isToken, e.add(e.add(pad, count[0]), one), pad);
          } else if (mask) {
            Value key = e.add(past, s);
            one = ifGiven(e, mask, one, [&] {
              return choose(e, e.less(key, e.dim(mask, 1)), zero.getType(),
                            [&] { return number(isKept(e, mask, {b, key})); }, [&] { return e.idx(0); });
            });
            position = e.max(e.idx(0), e.sub(e.add(count[0], one), e.idx(1)));
          } else {
            position = count[0];
          }
          position = arith::IndexCastOp::create(e.b, e.loc, type, position);
          if (op.getGiven())
            position = ifGiven(e, op.getGiven(), position, [&] { return e.load1(op.getGiven(), {b, s}); });
          e.store1(position, op.getInit(), {b, s});
          return {e.add(count[0], one)};
        });
      });
    });
  }
};

struct EmitPositionalEncoding : RowPattern<PositionalEncodingOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, PositionalEncodingOp op) const override {
    Value out = op.getInit();
    int64_t width = lastDim(out);
    Emit half(e.b, e.loc, e.lanes / 2); // a vector of pairs
    Reals reals(e, half.lanes);
    /// Sines and cosines of the pairs from `first` on, of row r's position.
    auto sinCos = [&](Value first, Value r) {
      Value frequency = reals.exp2(e.mulf(reals.count(first), reals.k(-2.0 / width * std::log2(10000.0))));
      Value position = reals.from(e.toIndex(e.load1(op.getPositions(), r)));
      auto [sin, cos] = reals.sinCos(e.mulf(frequency, position));
      return std::pair(reals.toF32(sin), reals.toF32(cos));
    };
    e.loop(e.idx(0), e.dim(op.getPositions(), 0), 1, [&](Value r) {
      if (!op.getHalves()) {
        e.overVectors(width, {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
          auto [sin, cos] = sinCos(e.divFloor(j, 2), r);
          Value pairs = shuffle(e, sin, cos, [&](int64_t l) { return l / 2 + l % 2 * half.lanes; });
          e.store(pairs, out, {r, j}, mask);
          return {};
        });
        return;
      }
      int64_t sines = (width + 1) / 2;
      half.overVectors(sines, {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        half.store(sinCos(j, r).first, out, {r, j}, mask);
        return {};
      });
      half.overVectors(width - sines, {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        half.store(sinCos(j, r).second, out, {r, half.add(j, sines)}, mask);
        return {};
      });
    });
  }
};

//===----------------------------------------------------------------------===//
// Rotations
//===----------------------------------------------------------------------===//

/// The numbers as a constant buffer of the module, with zeros up to a multiple of 16: whole vectors of any target.
Value constants(Emit &e, Operation *op, ArrayRef<double> numbers) {
  SmallVector<double> padded(numbers);
  padded.resize(llvm::alignTo(padded.size(), 16), 0.0);
  auto module = op->getParentOfType<ModuleOp>();
  auto type = MemRefType::get({int64_t(padded.size())}, e.b.getF64Type());
  Attribute value = DenseElementsAttr::get(RankedTensorType::get(type.getShape(), type.getElementType()), ArrayRef<double>(padded));
  for (unsigned n = 0;; ++n) {
    std::string name = "attn.constants." + std::to_string(n);
    auto global = module.lookupSymbol<memref::GlobalOp>(name);
    if (!global) {
      OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
      memref::GlobalOp::create(top, module.getLoc(), name, top.getStringAttr("private"), type, value, /*constant=*/true,
                               /*alignment=*/IntegerAttr());
    } else if (global.getInitialValueAttr() != value) {
      continue;
    }
    return memref::GetGlobalOp::create(e.b, e.loc, type, name);
  }
}

constexpr int64_t kBlock = 16;  // tokens of one task of a table, at least
constexpr int64_t kBlocks = 64; // tasks of one sequence, at most: each looks for the sequence's largest position

struct EmitRotaryTable : RowPattern<RotaryTableOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, RotaryTableOp op) const override {
    Value positions = op.getPositions(), out = op.getInit(), seq = e.dim(positions, 1);
    int64_t count = op.getFrequencies().size();
    Value block = e.max(e.idx(kBlock), e.divCeil(seq, kBlocks));
    Value blocks = e.divFloor(e.sub(e.add(seq, block), e.idx(1)), block);
    forTasks(e, e.mul(e.dim(positions, 0), blocks), op, [&](Value task) {
      Value row = e.divFloor(task, blocks), first = e.mul(e.rem(task, blocks), block);
      Value end = e.min(seq, e.add(first, block)), isLong, growth;
      auto position = [&](Value s) { return e.toIndex(e.load1(positions, {row, s})); };
      if (op.getLongFrom()) {
        Value last = e.loop(e.idx(0), seq, 1, {e.idx(0)}, [&](Value s, ValueRange most) {
          return SmallVector<Value>{e.max(most[0], position(s))};
        })[0];
        isLong = e.less(e.idx(*op.getLongFrom() - 1), last);
        if (op.getNtkFactor())
          growth = emitNtkGrowth(e, op, last, isLong);
      }
      Reals reals(e, e.lanes);
      auto load = [&](ArrayRef<double> numbers, Value j) {
        return vector::LoadOp::create(e.b, e.loc, cast<VectorType>(reals.type), constants(e, op, numbers), j).getResult();
      };
      Value scale = reals.k(op.getScale().convertToDouble());
      e.overVectors(count, {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        Value frequencies = load(op.getFrequencies(), j);
        if (op.getLongFrequencies())
          frequencies = e.select(isLong, load(*op.getLongFrequencies(), j), frequencies);
        if (growth)
          frequencies = e.mulf(frequencies, reals.exp2(e.mulf(reals.count(j), reals.all(growth))));
        e.loop(first, end, 1, [&](Value s) {
          auto [sin, cos] = reals.sinCos(e.mulf(frequencies, reals.from(position(s))));
          e.store(reals.toF32(e.mulf(cos, scale)), out, {row, s, j}, mask);
          e.store(reals.toF32(e.mulf(sin, scale)), out, {row, s, e.add(j, count)}, mask);
        });
        return {};
      });
    });
  }
};

struct EmitRotary : RowPattern<RotaryOp> {
  using RowPattern::RowPattern;
  void emit(Emit &e, RotaryOp op) const override {
    Value input = op.getInput(), table = op.getTable(), out = op.getInit();
    int64_t heads = op.getHeads(), headDim = lastDim(input) / heads, rotated = lastDim(table), half = rotated / 2;
    /// body(the head's first feature + j) for every head
    auto eachHead = [&](Value j, function_ref<void(Value)> body) {
      e.loop(e.idx(0), e.idx(heads), 1, [&](Value h) { body(e.add(e.mul(h, headDim), j)); });
    };
    e.loop(e.idx(0), e.dim(input, 0), 1, [&](Value r) {
      auto rotateHalves = [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        Value cos = e.load(table, {r, j}, mask), sin = e.load(table, {r, e.add(j, half)}, mask);
        Value minusSin = e.subf(e.splat(0), sin);
        eachHead(j, [&](Value at) {
          Value a = e.load(input, {r, at}, mask), c = e.load(input, {r, e.add(at, half)}, mask);
          e.store(e.fma(a, cos, e.mulf(c, minusSin)), out, {r, at}, mask);
          e.store(e.fma(c, cos, e.mulf(a, sin)), out, {r, e.add(at, half)}, mask);
        });
        return {};
      };
      auto rotatePairs = [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        Emit pairs(e.b, e.loc, e.lanes / 2);
        Value pair = e.divFloor(j, 2), pairMask = mask ? pairs.maskFor(e.idx(half % pairs.lanes)) : Value();
        auto both = [&](Value column) { // the value of each pair, in both its lanes
          Value v = pairs.load(table, {r, column}, pairMask);
          return shuffle(e, v, v, [](int64_t l) { return l / 2; });
        };
        auto signs = llvm::map_to_vector(llvm::seq(e.lanes), [](int64_t l) { return l % 2 ? 1.0f : -1.0f; });
        Value sign = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(e.vec(), ArrayRef<float>(signs)));
        Value cos = both(pair), sin = e.mulf(both(e.add(pair, half)), sign);
        eachHead(j, [&](Value at) {
          Value x = e.load(input, {r, at}, mask), other = shuffle(e, x, x, [](int64_t l) { return l ^ 1; });
          e.store(e.fma(x, cos, e.mulf(other, sin)), out, {r, at}, mask);
        });
        return {};
      };
      if (op.getInterleaved())
        e.overVectors(rotated, {}, rotatePairs);
      else
        e.overVectors(half, {}, rotateHalves);
      e.overVectors(headDim - rotated, {}, [&](Value j, Value mask, ValueRange) -> SmallVector<Value> {
        eachHead(e.add(j, rotated), [&](Value at) { e.store(e.load(input, {r, at}, mask), out, {r, at}, mask); });
        return {};
      });
    });
  }
};
} // namespace

Value emitNtkGrowth(Emit &e, RotaryTableOp op, Value last, Value isLong) {
  Reals reals(e);
  double factor = op.getNtkFactor()->convertToDouble();
  Value length = e.addf(reals.from(last), reals.k(1));
  Value g = reals.fma(length, reals.k(factor / double(*op.getLongFrom())), reals.k(1 - factor));
  Value growth = e.mulf(reals.log2(g), reals.k(-2.0 / (2.0 * op.getFrequencies().size() - 2)));
  return e.select(isLong, growth, reals.k(0));
}

void populateEmitPositions(RewritePatternSet &patterns, TargetAttr target) {
  patterns.add<EmitPositions, EmitPositionalEncoding, EmitRotaryTable, EmitRotary>(patterns.getContext(), target);
}

} // namespace attnc
