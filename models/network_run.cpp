// The network at work: forward, backward, and what the host puts in and reads out.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "cuda/convert.h"
#include "cuda/normalise.h"
#include "cuda/preprocess.h"
#include "cuda/runtime.h"
#include "models/network.h"

namespace osprey {

// What goes wrong while a kernel starts names the kernel; only here it is known whose it is.
template <class Work>
void Network::on_layer(int layer, Work&& work) {
  if (stream_.device == Device::cpu) return work(*nodes_[layer].layer);
  try {
    work(*nodes_[layer].layer);
  } catch (const std::exception& e) {
    fail("{}: {}", where(layer), e.what());
  }
}

bool Network::streams() const {
  if (!options_.streams || training() || stream_.device != Device::cpu) return false;
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (nodes_[i].owner != int(i)) return false;
  return true;
}

void Network::prepare() {
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (nodes_[i].absorbed_by < 0) on_layer(int(i), [&](Layer& layer) { layer.prepare(stream_, {}); });
}

bool Network::packs_its_own(int layer) const {
  const int owner = nodes_[size_t(layer)].owner;
  const auto users =
      std::count_if(nodes_.begin(), nodes_.end(), [&](const Node& n) { return n.owner == owner; });
  return nodes_[size_t(layer)].packs_parameters && users == 1;
}

void Network::prepare_layer(int layer, const ReadParameter& read) {
  const bool packs = packs_its_own(layer);
  ReadFilters filters;
  for (const ParameterSpan& span : parameters_.spans_of(layer, layer))
    if (packs && span.packs())
      filters = [&](int first, int last, float* to) { read(span, first, last, to); };
    else
      parameters_.read_all(span, read);
  if (nodes_[size_t(layer)].absorbed_by < 0) nodes_[size_t(layer)].layer->prepare(stream_, filters);
}

void Network::prepare_for_good(const ReadParameter& read) {
  if (streams()) {
    read_ = read;
    return;
  }
  if (stream_.device != Device::cpu) {
    for (const ParameterSpan& span : parameters_.spans()) parameters_.read_all(span, read);
    parameters_.upload();
    return prepare();
  }
  // All from here on is given back again with each layer: a huge page that it has touched is others', too.
  int first_packed = 0;
  for (int i = 0; i < int(nodes_.size()); ++i) {
    prepare_layer(i, read);
    if (packs_its_own(i))
      parameters_.give_back(first_packed, i);
    else if (!parameters_.spans_of(i, i).empty())
      first_packed = i + 1;
  }
}

void Network::set_samples(const std::vector<uint8_t>& bytes, const std::vector<SamplePlan>& plans) {
  assert(stream_.device != Device::cpu && !bytes.empty() && int(plans.size()) == input_.shape.n);
  if (bytes.size() > bytes_.bytes()) bytes_.allocate(stream_, bytes.size() + bytes.size() / 2);
  if (plans.size() * sizeof(SamplePlan) > sample_plans_.bytes())
    sample_plans_.allocate(stream_, plans.size() * sizeof(SamplePlan));
  std::memcpy(bytes_.host(), bytes.data(), bytes.size());
  std::memcpy(sample_plans_.host(), plans.data(), plans.size() * sizeof(SamplePlan));
  sample_bytes_ = bytes.size();
}

void Network::upload() {
  if (stream_.device == Device::cpu) return;
  feed_.upload();
  if (sample_bytes_) {
    bytes_.upload(0, sample_bytes_);
    sample_plans_.upload();
    cuda::preprocess(stream_, reinterpret_cast<const uint8_t*>(bytes_.device()),
                     reinterpret_cast<const SamplePlan*>(sample_plans_.device()),
                     Tensor(images_.device(), input_.shape));
  } else if (!keep_images_) {
    images_.upload();
  }
  sample_bytes_ = 0;
  keep_images_ = false;
  uploaded_.record(stream_);
}

std::vector<float> Network::read_input() const {
  const size_t count = size_t(fed_input_.shape.elements());
  if (stream_.device != Device::cpu) images_.download();
  const float* first = static_cast<const float*>(fed_input_.data);
  return {first, first + count};
}

void Network::forward() {
  upload();
  if (stream_.device == Device::cpu || training()) return enqueue_forward();
  if (captured_plan_ != plan_number_) {
    forward_graph_.capture(stream_, [&] { enqueue_forward(); });
    captured_plan_ = plan_number_;
  }
  forward_graph_.replay(stream_);
}

void Network::wait() const {
  if (stream_.device != Device::cpu) cuda::synchronize(stream_);
}

void Network::enqueue_input(int pass) {
  if (!has_images()) return;
  const size_t of_pass = size_t(input_.shape.elements()) * sizeof(float);
  const Tensor images(images_.device() + size_t(pass) * of_pass, input_.shape);
  if (net_.normalisation.on)
    on(stream_, cpu::normalise, cuda::normalise)(stream_, images, net_.normalisation, input_);
  else if (stream_.device == Device::cpu)
    std::memcpy(input_.data, images.data, of_pass);
  else
    cuda::convert(stream_, images, input_);
}

void Network::enqueue_forward() {
  for (int pass = 0; pass < passes_; ++pass) {
    enqueue_input(pass);
    enqueue_layers();
    if (passes_ > 1) gather_outputs(pass);
  }
}

void Network::enqueue_layers() {
  for (int i = 0; i < int(nodes_.size()); ++i) {
    if (nodes_[size_t(i)].worker(i) != i) continue;
    if (read_) prepare_layer(i, read_);
    on_layer(i, [&](Layer& layer) { layer.forward(stream_); });
  }
}

void Network::gather_outputs(int pass) {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!is_read(i)) continue;
    const Tensor y = nodes_[i].layer->y;
    std::memcpy(gathered_[i].data() + size_t(pass) * y.bytes(), y.data, y.bytes());
  }
}

Shape Network::output(int layer) const {
  Shape shape = nodes_[size_t(layer)].output;
  shape.n *= passes_;
  return shape;
}

std::vector<float> Network::read(int layer) const {
  const Tensor y = nodes_[size_t(layer)].layer->y;
  std::vector<char> bytes = gathered_[size_t(layer)];
  if (passes_ == 1) {
    bytes.resize(y.bytes());
    if (stream_.device == Device::cpu) {
      std::memcpy(bytes.data(), y.data, bytes.size());
    } else {
      Stream stream = stream_;
      cuda::copy(stream, bytes.data(), y.data, bytes.size());
      wait();
    }
  }
  const Tensor copy(bytes.data(), output(layer), y.type);
  std::vector<float> values(size_t(copy.size()));
  with_type(y.type, [&](auto t) {
    const View<decltype(t)> from = copy.view<decltype(t)>();
    std::copy(from.begin(), from.end(), values.begin());
  });
  return values;
}

int Network::first_not_finite() {
  assert(passes_ == 1);  // of a training
  enqueue_input();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].worker(int(i)) != int(i)) continue;
    on_layer(int(i), [&](Layer& layer) { layer.forward(stream_); });
    const std::vector<float> y = read(int(i));
    if (!std::all_of(y.begin(), y.end(), [](float v) { return std::isfinite(v); })) return int(i);
  }
  return -1;
}

void Network::clear_losses() { fill_zero(reports_.device(), reports_.bytes()); }

std::vector<LossReport> Network::losses() const {
  reports_.download();
  const LossReport* first = reinterpret_cast<const LossReport*>(reports_.host());
  return {first, first + nodes_.size()};
}

void Network::fill_zero(void* memory, size_t bytes) {
  if (stream_.device == Device::cpu)
    std::memset(memory, 0, bytes);
  else
    cuda::fill_zero(stream_, memory, bytes);
}

void Network::backward() {
  for (int i = int(nodes_.size()) - 1; i >= 0; --i) {
    Node& node = nodes_[i];
    if (!node.trains) continue;
    for (size_t k = 0; k < node.inputs.size(); ++k)
      if (node.zeroes_before_backward[k]) {
        const Tensor dx = node.layer->dx(int(k));
        fill_zero(dx.data, dx.bytes());
      }
    on_layer(i, [&](Layer& layer) { layer.backward(stream_); });
  }
}

}  // namespace osprey
