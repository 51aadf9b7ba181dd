#include "models/parameters.h"

#include <algorithm>
#include <cstring>

#include "core/arena.h"
#include "core/lifetimes.h"
#include "core/parallel.h"
#include "core/random.h"
#include "cuda/convert.h"
#include "cuda/runtime.h"

namespace osprey {

void Parameters::add(ParameterSpan span) {
  if (turns_ && !spans_.empty() && spans_.back().layer != span.layer) end_ = 0;
  span.offset = end_;
  constexpr size_t line = kAlignment / sizeof(float);
  end_ += (size_t(span.shape.elements()) + line - 1) / line * line;
  size_ = std::max(size_, end_);
  spans_.push_back(std::move(span));
}

std::span<const ParameterSpan> Parameters::spans_of(int first_layer, int last_layer) const {
  const auto begin = std::ranges::lower_bound(spans_, first_layer, {}, &ParameterSpan::layer),
             end = std::ranges::upper_bound(spans_, last_layer, {}, &ParameterSpan::layer);
  return {begin, end};
}

void Parameters::allocate(bool training, const Stream& stream, Type precision) {
  stream_ = stream;
  precision_ = precision;
  values_.allocate(stream, size_ * sizeof(float));
  if (precision != Type::f32) copy_.allocate(stream, size_ * bytes_of(precision));
  if (!training) return;
  gradients_.allocate(stream, size_ * sizeof(float));
  momentum_.allocate(stream, size_ * sizeof(float));
}

void Parameters::download() const {
  values_.download();
  momentum_.download();
}

void Parameters::upload() {
  values_.upload();
  momentum_.upload();
  refresh_copy();
}

void Parameters::take_values(const Parameters& other) {
  const size_t bytes = size_ * sizeof(float);
  if (stream_.device == Device::cpu) {
    std::memcpy(values(), other.values(), bytes);
    return;
  }
  cuda::synchronize(other.stream_);  // what its stream still writes
  cuda::copy(stream_, device_values(), other.device_values(), bytes);
  refresh_copy();
}

void Parameters::give_back(int first_layer, int last_layer) {
  const auto spans = spans_of(first_layer, last_layer);
  if (spans.empty()) return;
  const size_t begin = spans.front().offset,
               end = spans.back().offset + size_t(spans.back().shape.elements());
  clear_pages(values() + begin, (end - begin) * sizeof(float));
}

void Parameters::refresh_copy() {
  if (const Tensor copy = device_copy())
    cuda::convert(stream_, Tensor(device_values(), copy.shape, Type::f32), copy);
}

Tensor Parameters::device_copy() const {
  if (precision_ == Type::f32) return {};
  return {copy_.device(), {1, 1, 1, int(size_)}, precision_};
}

Tensor Parameters::device_copy(const ParameterSpan& s) const {
  if (precision_ == Type::f32) return device_value(s);
  return {copy_.device() + s.offset * bytes_of(precision_), s.shape, precision_};
}

int64_t Parameters::count() const {
  int64_t count = 0;
  for (const ParameterSpan& s : spans_) count += s.shape.elements();
  return count;
}

int64_t Parameters::trained_count() const {
  int64_t count = 0;
  for (const ParameterSpan& s : spans_)
    if (s.info.role != Role::statistic) count += s.shape.elements();
  return count;
}

void Parameters::read_initial(const ParameterSpan& s, uint64_t seed, int first, int last, float* to) const {
  const auto number = uint64_t(&s - spans_.data());
  const int64_t begin = first * s.of_output(), end = last * s.of_output();
  if (!s.info.drawn()) return void(std::fill_n(to, end - begin, s.info.fill));
  for (int64_t i = begin; i < end; ++i) {
    Random random(seed, Purpose::initialise, number, uint64_t(i));
    *to++ = s.info.fill + (s.info.normal != 0 ? s.info.normal * random.normal()
                                              : random.uniform(-s.info.uniform, s.info.uniform));
  }
}

void Parameters::read_all(const ParameterSpan& s, const ReadParameter& read) {
  constexpr int64_t kWorthAThread = 1 << 14;  // values
  parallel_for(s.shape.n, kWorthAThread / s.of_output() + 1, [&](int64_t first, int64_t last) {
    read(s, int(first), int(last), values() + s.offset + first * s.of_output());
  });
}

void Parameters::initialise(uint64_t seed) {
  for (const ParameterSpan& s : spans_)
    read_all(s, [&](const ParameterSpan&, int first, int last, float* to) {
      read_initial(s, seed, first, last, to);
    });
  upload();
}

void Parameters::zero_gradients() {
  const size_t bytes = size_ * sizeof(float);
  if (stream_.device == Device::cpu)
    std::memset(gradients(), 0, bytes);
  else
    cuda::fill_zero(stream_, device_gradients(), bytes);
}

}  // namespace osprey
