// Embedding, output head and what is done with its results, multi-token prediction's projection.
#include <algorithm>
#include <cassert>
#include <cmath>

#include "workloads/model/kernel_writer.h"
#include "workloads/model/tensor_exchanges.h"

namespace flopcast {
namespace {

/// Bytes of a logit that are read and written. Fused loss: the logit once, its gradient once. As a chain of kernels in
/// FP32: to FP32 6, maximum 4, shift 8, exponential and sum 12, gradient 8, back to BF16 6. As torch.nn.functional's
/// cross_entropy in BF16: log-softmax reads thrice and writes 8, a gradient of zeros 2, log-softmax backward reads both
/// and one of them twice, and writes 8. The same of logits in FP32: to FP32 6, then twice the bytes, to BF16 6. Choice
/// of a token: to FP32.
void use_logits(KernelWriter& list, double logits) {
  const int parts = list.work().habits.loss_parts;
  switch (list.work().habits.logits) {
    case LogitUse::fused_loss:
      return list.memory("cross-entropy", MemoryKernel::cross_entropy, logits * 2 * 3, parts);
    case LogitUse::eager_loss:
      return list.memory("cross-entropy", MemoryKernel::elementwise, logits * (6 + 4 + 8 + 12 + 8 + 6), 6 * parts);
    case LogitUse::torch_loss:
      return list.memory("cross-entropy", MemoryKernel::elementwise, logits * (6 + 16 + 4 + 16 + 6), 5 * parts);
    case LogitUse::bf16_loss:
      return list.memory("cross-entropy", MemoryKernel::elementwise, logits * (8 + 2 + 8), 3 * parts);
    case LogitUse::sampling:
      return list.memory("logits to FP32, largest one", MemoryKernel::elementwise, logits * (2 + 4));
  }
}

/// What of the loss is computed again where logits were not kept: up to the loss itself.
void use_logits_again(KernelWriter& list, double logits) {
  const int parts = list.work().habits.loss_parts;
  switch (list.work().habits.logits) {
    case LogitUse::fused_loss:
      return list.memory("cross-entropy", MemoryKernel::cross_entropy, logits * 2, parts);
    case LogitUse::eager_loss:
      return list.memory("cross-entropy", MemoryKernel::elementwise, logits * (6 + 4 + 8 + 12), 4 * parts);
    case LogitUse::torch_loss:
      return list.memory("cross-entropy", MemoryKernel::elementwise, logits * (6 + 16), 2 * parts);
    case LogitUse::bf16_loss:
      return list.memory("cross-entropy", MemoryKernel::elementwise, logits * 8, parts);
    case LogitUse::sampling:
      return;
  }
}

void embedding(KernelWriter& list, KernelPass pass) {
  const LayerWork& work = list.work();
  const double elements = work.tokens * work.model.hidden;
  if (pass == KernelPass::forward) {
    list.memory("embedding", MemoryKernel::embedding, elements * 2 * 2);
    tensor_scatter_beside(list, KernelWriter::kNothing);
  } else {
    tensor_gather_beside(list, KernelWriter::kNothing);
    if (work.habits.adapter_rank > 0) return;  // the table is frozen
    list.memory("embedding gradient", MemoryKernel::embedding,
                elements * (2 + 2 * bytes_per_element(work.precision.gradients)));
    if (!work.habits.torch_edges) return;
    const double table = std::ceil(static_cast<double>(work.model.vocabulary) / work.tensor) * work.model.hidden *
                         bytes_per_element(work.precision.gradients);
    list.memory("embedding gradient zeroed", MemoryKernel::elementwise, table);
    if (work.model.tied_embeddings) list.memory("gradients of the shared table", MemoryKernel::elementwise, 3 * table);
  }
}

/// Logits of a token that a GPU makes the loss of.
double logits_of_token(const LayerWork& work) {
  const double vocabulary = static_cast<double>(work.model.vocabulary);
  return work.habits.whole_logits ? vocabulary : std::ceil(vocabulary / work.tensor);
}

/// Each GPU of a tensor-parallel group gets all logits of all tokens. Of their gradient it takes its own part, which
/// costs nothing.
void gather_logits(KernelWriter& list) {
  const LayerWork& work = list.work();
  constexpr double kLogitBytes = 2;
  if (!work.habits.whole_logits || work.tensor < 2) return;
  const double bytes = work.tokens * logits_of_token(work) * kLogitBytes;
  // What is gathered along the vocabulary is put together token by token.
  list.memory("copy of gathered logits", MemoryKernel::copy, 2 * bytes);
  list.exchange(LayerExchange::Kind::tensor_gather, bytes);
}

void head(KernelWriter& list, KernelPass pass) {
  const LayerWork& work = list.work();
  const Precision precision = work.precision.head;
  const double t = work.tokens, own = work.own_tokens, h = work.model.hidden;
  const double vocabulary = std::ceil(static_cast<double>(work.model.vocabulary) / work.tensor);
  const int parts = work.habits.loss_parts;
  switch (pass) {
    case KernelPass::forward:
      list.norm("final norm", own * h, true);
      tensor_gather(list, list.linear_in(precision, "head", t / parts, vocabulary, h, parts));
      gather_logits(list);
      return use_logits(list, t * logits_of_token(work));
    case KernelPass::input_gradient: {
      if (parts > 1) {
        list.again(true);
        list.linear_in(precision, "head", t / parts, vocabulary, h, parts);
        gather_logits(list);
        use_logits_again(list, t * logits_of_token(work));
        list.again(false);
      }
      const int dgrad = list.linear_in(precision, "head", t / parts, h, vocabulary, parts);
      tensor_gather_again(list, dgrad);
      tensor_scatter_gradient(list, dgrad, dgrad);  // the weight gradient takes as long
      return list.norm_backward("final norm backward", own * h);
    }
    case KernelPass::weight_gradient:
      if (work.habits.adapter_rank > 0) return;  // frozen
      list.weight_gradient_in(precision, "head", vocabulary, h, t / parts, parts);
      // Each part's gradient is added to those before.
      return list.memory("sum of head gradients", MemoryKernel::elementwise,
                         (parts - 1) * vocabulary * h * 3 * bytes_per_element(work.precision.gradients),
                         std::max(1, parts - 1));
  }
}

void mtp_projection(KernelWriter& list, KernelPass pass) {
  const LayerWork& work = list.work();
  const double t = work.tokens, own = work.own_tokens, h = work.model.hidden;
  switch (pass) {
    case KernelPass::forward:
      if (work.habits.mtp_input_kernels) list.memory("embedding", MemoryKernel::embedding, t * h * 2 * 2);
      list.norm("MTP norms", 2 * own * h, false);
      if (work.habits.mtp_input_kernels) list.quantize("cast MTP input", 2 * t * h);
      list.linear("MTP projection", t, h, 2 * h);
      return;
    case KernelPass::input_gradient:
      list.quantize("cast MTP gradient", t * h);
      list.linear("MTP projection", t, 2 * h, h);
      list.quantize_transposed("transpose MTP operands", 3 * t * h, 2);
      return list.norm_backward("MTP norms backward", 2 * own * h);
    case KernelPass::weight_gradient:
      return list.weight_gradient("MTP projection", h, 2 * h, t);
  }
}

}  // namespace

void add_edge(LayerKernels& out, const LayerWork& work, KernelPass pass, Edge edge) {
  KernelWriter list(out, work, pass);
  list.enter(LayerPart::edge);
  switch (edge) {
    case Edge::embedding:
      assert(pass != KernelPass::weight_gradient);
      return embedding(list, pass);
    case Edge::head:
      return head(list, pass);
    case Edge::mtp_projection:
      return mtp_projection(list, pass);
  }
}

}  // namespace flopcast
