//===- Combinators.cpp - Layers made of layers, and of functions ----------------------------===//
#include "frontend/Trace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using llvm::ArrayRef;
using llvm::Twine;

namespace attnc {

using Values = std::vector<Tensor>;

//===----------------------------------------------------------------------===//
// Layers on a stack
//===----------------------------------------------------------------------===//

static std::string tensorsText(ArrayRef<Tensor> tensors) {
  return "(" + llvm::join(llvm::map_range(tensors, [](const Tensor &tensor) { return tensor.text(); }), ", ") + ")";
}

static std::string count(int64_t tensors) { return std::to_string(tensors) + (tensors == 1 ? " tensor" : " tensors"); }

Layer::Layer(std::string name, std::string signature, int64_t inputs, int64_t outputs, Apply apply, bool composite)
    : node(std::make_shared<Node>(
          Node{std::move(name), std::move(signature), inputs, outputs, std::move(apply), composite})) {}

void Layer::operator()(Trace &trace, Values &stack) const {
  if (trace.failed())
    return;
  trace.path.push_back(node->name);
  if (!node->composite) {
    trace.signature = node->signature, trace.met = tensorsText(stack);
    trace.b.at(trace.layerName());
    if (int64_t(stack.size()) < node->inputs)
      trace.fail("expected " + count(node->inputs) + ", got " + Twine(stack.size()));
  }
  if (!trace.failed())
    node->apply(trace, stack);
  trace.path.pop_back();
}

std::string Trace::placed(const Twine &message) const {
  return (llvm::join(path, " > ") + ", " + signature + ": " + message + ", on the stack " + met).str();
}

Tensor Trace::fail(const Twine &message) {
  if (!failed())
    error = placed(message);
  return {};
}

void Trace::cannotCache(const Twine &what) {
  if (notCached.empty())
    notCached =
        placed("a cached model: expected causal Attention to its own tokens as all that mixes them, got " + what);
}

std::string Trace::layerName() const {
  std::string name;
  for (const std::string &part : path) { // "Serial[3]" → "Serial.3"
    llvm::StringRef index = part;
    llvm::StringRef stem = index.split('[').first;
    name += (name.empty() ? "" : ".") + stem.str();
    if (index.consume_front(stem) && index.consume_front("["))
      name += "." + index.drop_back().str();
  }
  return name;
}

/// The first `n` tensors of the stack, or all, taken from it.
static Values take(Values &stack, int64_t n) {
  auto end = stack.begin() + std::min<int64_t>(n, stack.size());
  Values taken(stack.begin(), end);
  stack.erase(stack.begin(), end);
  return taken;
}

static void put(Values &stack, const Values &results) { stack.insert(stack.begin(), results.begin(), results.end()); }

/// Applies `layer`, number `index` of `layers`.
static void applyPart(Trace &trace, const Layers &layers, size_t index, Values &stack) {
  std::string own = trace.path.back();
  if (layers.size() > 1)
    trace.path.back() += "[" + std::to_string(index) + "]";
  layers[index](trace, stack);
  trace.path.back() = own;
}

//===----------------------------------------------------------------------===//
// Combinators
//===----------------------------------------------------------------------===//

/// How many tensors `layers` one after the other take, and leave.
static std::pair<int64_t, int64_t> arity(const Layers &layers) {
  int64_t inputs = 0, held = 0;
  for (const Layer &layer : layers) {
    int64_t missing = std::max<int64_t>(layer.inputs() - held, 0);
    inputs += missing;
    held += missing + layer.outputs() - layer.inputs();
  }
  return {inputs, held};
}

static Layer::Apply inTurn(Layers layers) {
  return [layers](Trace &trace, Values &stack) {
    bool isModel = trace.path.size() == 1;
    for (size_t i = 0; i < layers.size() && !trace.failed(); ++i) {
      int64_t before = trace.attentions;
      applyPart(trace, layers, i, stack);
      if (!isModel || trace.failed())
        continue;
      if (!trace.cache && trace.attentions != before)
        trace.lastAttention = i;
      if (trace.selectToken && trace.lastAttention == int64_t(i))
        std::exchange(trace.selectToken, nullptr)(stack);
    }
  };
}

Layer serial(std::string name, Layers layers) {
  auto [inputs, outputs] = arity(layers);
  return Layer(std::move(name), "", inputs, outputs, inTurn(std::move(layers)), /*composite=*/true);
}

Layer parallel(Layers layers) {
  int64_t inputs = 0, outputs = 0;
  for (const Layer &layer : layers)
    inputs += layer.inputs(), outputs += layer.outputs();
  auto apply = [layers](Trace &trace, Values &stack) {
    Values results;
    for (size_t i = 0; i < layers.size(); ++i) {
      Values own = take(stack, layers[i].inputs());
      applyPart(trace, layers, i, own);
      results.insert(results.end(), own.begin(), own.end());
    }
    put(stack, results);
  };
  return Layer("Parallel", "", inputs, outputs, apply, /*composite=*/true);
}

Layer branch(Layers layers) {
  int64_t inputs = 0, outputs = 0;
  for (const Layer &layer : layers)
    inputs = std::max(inputs, layer.inputs()), outputs += layer.outputs();
  auto apply = [layers, inputs](Trace &trace, Values &stack) {
    Values shared = take(stack, inputs), results;
    for (size_t i = 0; i < layers.size(); ++i) {
      Values all = shared, own = take(all, layers[i].inputs());
      applyPart(trace, layers, i, own);
      results.insert(results.end(), own.begin(), own.end());
    }
    put(stack, results);
  };
  return Layer("Branch", "", inputs, outputs, apply, /*composite=*/true);
}

/// One Residual as a function of the module; its shape is that of what it is added to.
static void applyAsFunction(Trace &trace, const Layer::Apply &body, Values &stack) {
  Tensor x = stack[0], tokens = trace.tokens;
  Value cache = trace.cache;
  Stack shared;
  shared.cache = cache;
  if (cache)
    shared.layer = arith::ConstantIndexOp::create(trace.b, trace.attentions);
  if (tokens)
    shared.tables.push_back(tokens.value());
  std::vector<Tensor> inputs = std::move(trace.inputs);
  trace.first = trace.attentions;
  trace.prefix = trace.layerName() + ".";
  llvm::StringRef name = cache ? "cached_residual" : "residual";
  Value result = trace.b.layer(name, trace.prefix, x.value(), shared, [&](Value inner, const Stack &own) {
    Values values = {Tensor(trace, inner, x.shape())};
    trace.cache = own.cache, trace.cacheLayer = own.layer;
    trace.inputs = values;
    if (tokens)
      trace.inputs.push_back(trace.tokens = Tensor(trace, own.tables[0], tokens.shape()));
    body(trace, values);
    return trace.failed() ? Value() : values[0].value();
  });
  trace.prefix.clear();
  trace.inputs = std::move(inputs);
  trace.tokens = tokens, trace.cache = cache, trace.cacheLayer = {};
  if (!trace.failed())
    stack[0] = Tensor(trace, result, x.shape());
}

Layer residual(Layers layers) {
  auto [taken, left] = arity(layers);
  int64_t inputs = std::max<int64_t>(taken, 1);
  auto body = [apply = inTurn(layers), inputs](Trace &trace, Values &stack) {
    Values own = take(stack, inputs), results = own;
    apply(trace, results);
    trace.signature = "x → x + layers(x)", trace.met = tensorsText(results);
    if (trace.failed())
      return;
    if (own.empty() || results.empty() || !own[0].isFloat() || own[0].shape() != results[0].shape()) {
      trace.fail("expected layers that keep the shape of x, got " + tensorsText(own) + " → " + tensorsText(results));
      return;
    }
    results[0] = results[0] + own[0];
    put(stack, results);
  };
  bool single = inputs == 1 && left == 1;
  auto apply = [body, single](Trace &trace, Values &stack) {
    if (single && trace.prefix.empty() && !stack.empty() && stack[0].isFloat())
      applyAsFunction(trace, body, stack);
    else
      body(trace, stack);
  };
  return Layer("Residual", "", inputs, std::max<int64_t>(left + (inputs - taken), 1), apply, /*composite=*/true);
}

/// The most tensors that a layer takes or gives.
static const int64_t kMostTensors = 64;

Layer Select(std::vector<int64_t> indices, int64_t inputs) {
  if (inputs < 0)
    inputs = indices.empty() ? 0 : std::clamp<int64_t>(*llvm::max_element(indices), 0, kMostTensors - 1) + 1;
  std::string text = llvm::join(llvm::map_range(indices, [](int64_t i) { return std::to_string(i); }), ", ");
  auto apply = [indices, inputs](Trace &trace, Values &stack) {
    Values taken = take(stack, inputs), results;
    for (int64_t index : indices) {
      if (index < 0 || index >= inputs) {
        trace.fail("expected indices from 0 to " + Twine(inputs - 1) + ", got " + Twine(index));
        return;
      }
      results.push_back(taken[index]);
    }
    put(stack, results);
  };
  return Layer("Select", "Select(" + text + ") of " + count(inputs), inputs, indices.size(), apply);
}

Layer Dup() { return Select({0, 0}); }
Layer Drop() { return Select({}, 1); }

Layer function(std::string name, int64_t inputs, int64_t outputs, std::function<Values(ArrayRef<Tensor>)> f) {
  std::string signature = count(inputs) + " → " + count(outputs);
  for (int64_t tensors : {inputs, outputs})
    if (tensors < 1 || tensors > kMostTensors)
      return Layer(std::move(name), std::move(signature), 0, 0, [tensors](Trace &trace, Values &) {
        trace.fail("expected 1 to " + Twine(kMostTensors) + " tensors, got " + Twine(tensors));
      });
  auto apply = [f, inputs, outputs](Trace &trace, Values &stack) {
    Values results = f(take(stack, inputs));
    if (!trace.failed() && int64_t(results.size()) != outputs)
      trace.fail("expected " + count(outputs) + " from its function, got " + Twine(results.size()));
    else if (!trace.failed() && !llvm::all_of(results, [](const Tensor &tensor) { return bool(tensor); }))
      trace.fail("expected tensors from its function, got a null tensor");
    else
      put(stack, results);
  };
  return Layer(std::move(name), std::move(signature), inputs, outputs, apply);
}

Layer External(std::string name, int64_t inputs) {
  return function(name, inputs, 1, [name](ArrayRef<Tensor> in) { return external(name, in.vec(), {in[0].shape()}); });
}

Layer Split(int64_t parts) {
  return function("Split", 1, parts, [parts](ArrayRef<Tensor> in) { return split(in[0], parts); });
}

Layer Concatenate(int64_t inputs) {
  return function("Concatenate", inputs, 1, [](ArrayRef<Tensor> in) { return Values{concatenate(in.vec())}; });
}

Layer ShiftRight() {
  return Fn("ShiftRight", [](Tensor x) { return shiftRight(x); });
}

} // namespace attnc
