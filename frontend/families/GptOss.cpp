//===- GptOss.cpp - Import GPT-OSS (OpenAI 2025) ---------------------------------------------------===//
// Llama with biases, a learned sink logit per head, alternating windows, yarn, and a mixture of experts whose gated MLP is
// clamped. Keys of config.json and tensor names: transformers' GptOssConfig and GptOssForCausalLM, not quantised: gate and up
// alternate in one tensor.
#include "frontend/families/Llama.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace attnc {
namespace {
class GptOss : public Llama {
public:
  explicit GptOss(ImportContext &import) : Llama(import, defaults()) {
    readExperts("num_experts_per_tok|experts_per_token", 128, 4);
    if (double alpha = config.number("swiglu_alpha", 0, 1e6, 1.702); alpha != 1.702)
      config.problem("expected 'swiglu_alpha' to be 1.702, got " + llvm::formatv("{0}", alpha).str());
    limit = config.number("swiglu_limit", 1e-6, 1e6, 7);
    if (activation != attn::ActivationKind::silu)
      config.problem("expected 'hidden_act' to be silu");
    qkvBias = outBias = config.flag("attention_bias", true);
    sinkLogits = true;
    readWindows(config.integer("sliding_window", 1, INT32_MAX, 128), [](int64_t index) { return index % 2 == 0; });
    if (!config.find("rope_scaling"))
      config.setDefault("rope_parameters", llvm::json::Object{{"rope_type", "yarn"}, {"factor", 32}, {"truncate", false},
                                                              {"original_max_position_embeddings", 4096}});
    RotaryKeys keys;
    keys.theta = 150000;
    rotaries = {readRotary(config, headDim, context, keys)};
  }

private:
  static Defaults defaults() {
    Defaults defaults;
    defaults.vocab = 201088;
    defaults.width = defaults.inner = 2880;
    defaults.layers = 36;
    defaults.heads = defaults.headDim = 64;
    defaults.kvHeads = 8;
    defaults.context = 131072;
    defaults.epsilon = 1e-5;
    return defaults;
  }

  Value mlp(Value x) override {
    Experts routed = b.route(b.linear("mlp.router", x, experts), chosen);
    b.at("mlp.experts");
    auto product = [&](Value input, StringRef name, StringRef columns, int64_t rows, int64_t width) {
      Value weight = b.parameter("mlp.experts." + name + columns, {experts, rows, width});
      Value bias = b.parameter("mlp.experts." + name + "_bias" + columns, {experts, width});
      return b.expertLinear(input, weight, bias, routed, /*transposed=*/false);
    };
    Value gate = product(x, "gate_up_proj", "[,0:1:2]", width, inner), up = product(x, "gate_up_proj", "[,1:1:2]", width, inner);
    Value hidden = b.clampedGate(gate, up, limit);
    return b.combine(product(hidden, "down_proj", "", inner, width), routed);
  }

  double limit;
};
} // namespace

llvm::Error importGptOss(ImportContext &import) { return GptOss(import).build("gpt_oss"); }

} // namespace attnc
