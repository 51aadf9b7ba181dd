#include "models/weights.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "core/file.h"

namespace osprey {
namespace {

// Where element (out, in, h, w) of a weight array lies in the file. `inner` is what one output has: in * h *
// w.
struct FileIndex {
  int outputs, channels, height, width;
  bool transposed;

  int64_t operator()(int out, int channel, int h, int w) const {
    const int64_t inner = (int64_t(channel) * height + h) * width + w;
    return transposed ? inner * outputs + out : out * (int64_t(channels) * height * width) + inner;
  }
};

// Calls visit(ours, file) with the two positions of every element of a span.
template <class Visit>
void each_element(const ParameterSpan& span, bool transposed_file, Visit&& visit) {
  const int64_t count = span.shape.elements();
  if (span.info.order == FileOrder::plain) {
    for (int64_t i = 0; i < count; ++i) visit(i, i);
    return;
  }
  FileIndex index{};
  if (span.info.order == FileOrder::convolution) {
    index = {span.shape.n, span.shape.c, span.shape.h, span.shape.w, span.info.flipped};
  } else {
    const Shape& in = span.layer_input;
    index = {int(count / (int64_t(in.h) * in.w * in.c)), in.c, in.h, in.w, transposed_file};
  }
  int64_t ours = 0;
  for (int out = 0; out < index.outputs; ++out)
    for (int h = 0; h < index.height; ++h)
      for (int w = 0; w < index.width; ++w)
        for (int channel = 0; channel < index.channels; ++channel) visit(ours++, index(out, channel, h, w));
}

bool in_file(const Network& network, const ParameterSpan& span) {
  const Node& node = network.nodes()[span.layer];
  return !node.dont_load && !(node.dont_load_scales && span.info.batch_scale);
}

// What a file that cannot be weights is, as far as its first bytes tell.
std::string foreign(const std::string& bytes) {
  if (bytes.starts_with("version https://git-lfs"))
    return "is a Git LFS pointer, not the weights themselves: fetch them with `git lfs pull`";
  const std::string head = bytes.substr(0, 64);
  const bool text = !head.empty() && std::all_of(head.begin(), head.end(), [](char c) {
    return (c >= 32 && c < 127) || c == '\n' || c == '\r' || c == '\t';
  });
  if (text)
    return fmt::format("is text (`{}...`), not weights",
                       head.substr(0, head.find_first_of("\r\n")).substr(0, 40));
  size_t replaced = 0;  // U+FFFD, what a text editor or a web page leaves of bytes that are not text
  for (size_t at = bytes.find("\xEF\xBF\xBD"); at != std::string::npos;
       at = bytes.find("\xEF\xBF\xBD", at + 3))
    ++replaced;
  if (replaced > bytes.size() / 64)
    return "was damaged by being treated as UTF-8 text: fetch it again as binary";
  return "";
}

WeightsHeader read_header(const std::string& path, const std::string& bytes, int64_t payload) {
  WeightsHeader header;
  if (bytes.size() < 16)
    fail("{}: {} bytes are too few for weights: expected {}", path, bytes.size(), payload + 20);
  std::memcpy(&header.major, bytes.data(), 4);
  std::memcpy(&header.minor, bytes.data() + 4, 4);
  std::memcpy(&header.revision, bytes.data() + 8, 4);
  if (header.major < 0 || header.minor < 0 || header.major > 2000 || header.minor > 2000)
    fail("{}: is not a Darknet weights file: its header says version {}.{}", path, header.major,
         header.minor);
  const bool wide = header.major * 10 + header.minor >= 2 && header.major < 1000 && header.minor < 1000;
  header.seen_bytes = wide ? 8 : 4;
  // Some builds wrote the other width under the same version: the size tells.
  const int64_t size = int64_t(bytes.size()), other = 12 + (wide ? 4 : 8);
  if (size != header.bytes() + payload && size == other + payload) header.seen_bytes = wide ? 4 : 8;
  if (size < header.bytes()) fail("{}: ends inside of its header", path);
  std::memcpy(&header.seen, bytes.data() + 12, size_t(header.seen_bytes));
  return header;
}

}  // namespace

int64_t weights_bytes(const Network& network, const WeightsHeader& header) {
  int64_t floats = 0;
  for (const ParameterSpan& span : network.parameters().spans())
    if (in_file(network, span)) floats += span.shape.elements();
  return header.bytes() + 4 * floats;
}

void set_values(Network& network, const ParameterSpan& span, const std::vector<float>& values) {
  assert(int64_t(values.size()) == span.shape.elements());
  ParameterSpan plain = span;
  plain.info.flipped = false;
  float* ours = network.parameters().values() + span.offset;
  each_element(plain, false, [&](int64_t to, int64_t from) { ours[to] = values[size_t(from)]; });
}

LoadedWeights load_weights(const std::string& path, Network& network, Coverage coverage) {
  const std::string bytes = read_file(path, "a .weights file");
  if (const std::string why = foreign(bytes); !why.empty()) fail("{}: {}", path, why);
  LoadedWeights loaded;
  loaded.header = read_header(path, bytes, weights_bytes(network, {}) - WeightsHeader{}.bytes());
  const int64_t size = int64_t(bytes.size()), expected = weights_bytes(network, loaded.header);
  if (size > expected)
    fail("{}: is longer than the network: expected {} bytes, found {}: these are the weights of another .cfg",
         path, expected, size);

  const int layers = int(network.nodes().size());
  Parameters& parameters = network.parameters();
  parameters.download();
  std::vector<float> values(parameters.values(), parameters.values() + parameters.size());
  int64_t at = loaded.header.bytes();
  loaded.layers = layers;
  loaded.complete = true;
  int previous = -1;
  for (const ParameterSpan& span : parameters.spans()) {
    if (!in_file(network, span)) continue;
    const int64_t count = span.shape.elements();
    if (at == size && span.layer != previous) {
      loaded.layers = span.layer;
      loaded.complete = false;
      break;
    }
    previous = span.layer;
    if (at + 4 * count > size)
      fail("{}: runs out in {} ({}): expected {} bytes for the network, found {}", path,
           network.where(span.layer), span.info.name, expected, size);
    const char* file = bytes.data() + at;
    float* ours = values.data() + span.offset;
    bool finite = true;
    each_element(span, loaded.header.transposed(), [&](int64_t to, int64_t from) {
      std::memcpy(&ours[to], file + 4 * from, 4);
      finite &= std::isfinite(ours[to]);
    });
    if (!finite)
      fail("{}: holds values that are not finite in {} ({}): damaged, or the weights of another .cfg", path,
           network.where(span.layer), span.info.name);
    at += 4 * count;
  }
  if (!loaded.complete && coverage == Coverage::whole)
    fail(
        "{}: ends before {}: expected {} bytes, found {}: a backbone to start training from, not a whole "
        "network",
        path, network.where(loaded.layers), expected, size);
  std::copy(values.begin(), values.end(), parameters.values());
  parameters.upload();
  return loaded;
}

void save_weights(const std::string& path, const Network& network, WeightsHeader header, int layers) {
  AtomicFile file(path);
  char head[20];
  std::memcpy(head, &header.major, 4);
  std::memcpy(head + 4, &header.minor, 4);
  std::memcpy(head + 8, &header.revision, 4);
  std::memcpy(head + 12, &header.seen, size_t(header.seen_bytes));
  file.write(head, size_t(header.bytes()));
  std::vector<float> array;
  network.parameters().download();
  for (const ParameterSpan& span : network.parameters().spans()) {
    if ((layers >= 0 && span.layer >= layers) || !in_file(network, span)) continue;
    array.resize(size_t(span.shape.elements()));
    const float* ours = network.parameters().values() + span.offset;
    each_element(span, header.transposed(),
                 [&](int64_t from, int64_t to) { array[size_t(to)] = ours[from]; });
    file.write(array.data(), 4 * array.size());
  }
  file.commit();
}

}  // namespace osprey
