#include "models/weights.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "core/file.h"
#include "core/parallel.h"

namespace osprey {
namespace {

// How the values of a weight array lie in the file: [outputs, channels, taps], or transposed [channels, taps,
// outputs]. Ours are [outputs, taps, channels]; what is plain lies in the file as it does here.
struct FileLayout {
  int64_t outputs, channels, taps;
  bool transposed = false;

  int64_t inner() const { return channels * taps; }  // what one output has

  // Calls visit(ours, file) with the two positions of every element of the outputs [first, last).
  template <class Visit>
  void each_element(int64_t first, int64_t last, Visit&& visit) const {
    for (int64_t out = first; out < last; ++out)
      for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t channel = 0; channel < channels; ++channel) {
          const int64_t at = channel * taps + tap;
          visit(out * inner() + tap * channels + channel,
                transposed ? at * outputs + out : out * inner() + at);
        }
  }

  // What one output has, from the array in the file.
  void read_output(const char* file, int64_t out, float* to) const {
    const char* const own = file + 4 * out * inner();
    const auto turn = [&](auto tap_count) {
      for (int64_t channel = 0; channel < channels; ++channel)
        for (int64_t tap = 0; tap < tap_count; ++tap)
          std::memcpy(to + tap * channels + channel, own + 4 * (channel * tap_count + tap), 4);
    };
    if (transposed)
      each_element(out, out + 1, [&](int64_t ours, int64_t at) {
        std::memcpy(to + ours - out * inner(), file + 4 * at, 4);
      });
    else if (taps == 1)
      std::memcpy(to, own, size_t(4 * inner()));
    else if (taps == 9)  // nearly all weights there are
      turn(std::integral_constant<int64_t, 9>());
    else
      turn(taps);
  }
};

FileLayout layout_of(const ParameterSpan& span, bool transposed_file) {
  switch (span.info.order) {
    case FileOrder::plain:
      return {span.shape.n, span.of_output(), 1};
    case FileOrder::convolution:
      return {span.shape.n, span.shape.c, int64_t(span.shape.h) * span.shape.w, span.info.flipped};
    case FileOrder::flattened_input:
      break;
  }
  const Shape& in = span.layer_input;
  const int64_t taps = int64_t(in.h) * in.w;
  return {span.shape.n, in.c, taps, transposed_file};
}

// Calls body(first, last) with ranges of outputs, on all threads.
template <class Body>
void over_outputs(const FileLayout& layout, Body&& body) {
  constexpr int64_t kWorthAThread = 1 << 14;  // values
  parallel_for(layout.outputs, std::max<int64_t>(kWorthAThread / std::max<int64_t>(layout.inner(), 1), 1),
               body);
}

// Of an infinity or a NaN all bits of the exponent are set.
bool all_finite(const char* floats, int64_t count) {
  constexpr uint32_t kExponent = 0x7F800000;
  uint32_t bad = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, floats + 4 * i, 4);
    bad |= uint32_t((bits & kExponent) == kExponent);
  }
  return !bad;
}

bool in_file(const Network& network, const ParameterSpan& span) {
  const Node& node = network.nodes()[span.layer];
  return !node.dont_load && !(node.dont_load_scales && span.info.batch_scale);
}

// What a file that cannot be weights is, as far as its first bytes tell.
std::string foreign(std::string_view bytes) {
  if (bytes.starts_with("version https://git-lfs"))
    return "is a Git LFS pointer, not the weights themselves: fetch them with `git lfs pull`";
  const std::string_view head = bytes.substr(0, 64);
  const bool text = !head.empty() && std::all_of(head.begin(), head.end(), [](char c) {
    return (c >= 32 && c < 127) || c == '\n' || c == '\r' || c == '\t';
  });
  if (text)
    return fmt::format("is text (`{}...`), not weights",
                       head.substr(0, head.find_first_of("\r\n")).substr(0, 40));
  // U+FFFD, what a text editor or a web page leaves of bytes that are not text, everywhere.
  constexpr size_t kTelling = 1 << 20;
  const std::string_view part = bytes.substr(0, kTelling);
  size_t replaced = 0;
  for (size_t at = part.find("\xEF\xBF\xBD"); at != std::string_view::npos;
       at = part.find("\xEF\xBF\xBD", at + 3))
    ++replaced;
  if (replaced > part.size() / 64)
    return "was damaged by being treated as UTF-8 text: fetch it again as binary";
  return "";
}

// Whether the four bytes behind a counter of 32 bits are the upper half of one of 64, and no weight: a count
// of 2^48 images is out of reach, and as a float every smaller upper half is 0 or nearly 0.
bool counts_further(std::string_view bytes) {
  uint32_t upper = 0;
  if (bytes.size() >= 20) std::memcpy(&upper, bytes.data() + 16, 4);
  return upper < 1u << 16;
}

WeightsHeader read_header(const std::string& path, std::string_view bytes, int64_t payload) {
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
  // Some builds wrote the other width under the same version: the size tells, and what stands there. By the
  // size alone, a file that lacks its last weight would be one with a short header.
  const int64_t size = int64_t(bytes.size()), other = 12 + (wide ? 4 : 8);
  if (size != header.bytes() + payload && size == other + payload && counts_further(bytes) == !wide)
    header.seen_bytes = wide ? 4 : 8;
  if (size < header.bytes()) fail("{}: ends inside of its header", path);
  std::memcpy(&header.seen, bytes.data() + 12, size_t(header.seen_bytes));
  return header;
}

// A file that has been found to be of the right kind and size, and where in it each span lies.
class WeightsFile {
 public:
  WeightsFile(const std::string& path, const Network& network, Coverage coverage)
      : path_(path), network_(network), file_(path, "a .weights file") {
    const std::string_view bytes = file_.bytes();
    if (const std::string why = foreign(bytes); !why.empty()) fail("{}: {}", path, why);
    loaded_.header = read_header(path, bytes, weights_bytes(network, {}) - WeightsHeader{}.bytes());
    const int64_t size = int64_t(bytes.size()), expected = weights_bytes(network, loaded_.header);
    if (size > expected)
      fail(
          "{}: is longer than the network: expected {} bytes, found {}: these are the weights of another "
          ".cfg",
          path, expected, size);
    place_spans(size, expected);
    if (!loaded_.complete && coverage == Coverage::whole)
      fail(
          "{}: ends before {}: expected {} bytes, found {}: a backbone to start training from, not a whole "
          "network",
          path, network.where(loaded_.layers), expected, size);
  }

  const LoadedWeights& loaded() const { return loaded_; }
  bool has(const ParameterSpan& span) const { return at_[number(span)] >= 0; }

  // An Error if a value is not finite.
  void check(const ParameterSpan& span) const {
    over_outputs(layout(span), [&](int64_t first, int64_t last) { check(span, first, last); });
  }

  // The outputs [first, last) as the network has them, checked. What was read is not kept in memory, nor all
  // of a large array until its end.
  void read(const ParameterSpan& span, int first, int last, float* to) const {
    const FileLayout l = layout(span);
    const size_t begin = size_t(at_[number(span)]), of_output = size_t(4 * l.inner());
    constexpr int64_t kForgotten = 1 << 18;  // values at a time
    const int64_t together = std::max<int64_t>(kForgotten / std::max<int64_t>(l.inner(), 1), 1);
    for (int64_t from = first; from < last; from += together) {
      const int64_t end = std::min<int64_t>(from + together, last);
      for (int64_t out = from; out < end; ++out) {  // each is checked while it comes into the cache
        check(span, out, out + 1);
        l.read_output(file_.bytes().data() + begin, out, to + (out - first) * l.inner());
      }
      if (!l.transposed) file_.forget(begin + size_t(from) * of_output, size_t(end - from) * of_output);
    }
  }

 private:
  size_t number(const ParameterSpan& span) const {
    return size_t(&span - network_.parameters().spans().data());
  }
  FileLayout layout(const ParameterSpan& span) const { return layout_of(span, loaded_.header.transposed()); }

  void place_spans(int64_t size, int64_t expected) {
    const std::vector<ParameterSpan>& spans = network_.parameters().spans();
    at_.assign(spans.size(), -1);
    loaded_.layers = int(network_.nodes().size());
    loaded_.complete = true;
    int64_t at = loaded_.header.bytes();
    int previous = -1;
    for (const ParameterSpan& span : spans) {
      if (!in_file(network_, span)) continue;
      if (at == size && span.layer != previous) {
        loaded_.layers = span.layer;
        loaded_.complete = false;
        return;
      }
      previous = span.layer;
      at_[number(span)] = at;
      at += 4 * span.shape.elements();
      if (at > size)
        fail("{}: runs out in {} ({}): expected {} bytes for the network, found {}", path_,
             network_.where(span.layer), span.info.name, expected, size);
    }
  }

  // Of the outputs [first, last), which lie together unless the file is transposed: then that many values.
  void check(const ParameterSpan& span, int64_t first, int64_t last) const {
    const int64_t inner = layout(span).inner();
    if (!all_finite(file_.bytes().data() + at_[number(span)] + 4 * first * inner, (last - first) * inner))
      fail("{}: holds values that are not finite in {} ({}): damaged, or the weights of another .cfg", path_,
           network_.where(span.layer), span.info.name);
  }

  std::string path_;
  const Network& network_;
  FileBytes file_;
  LoadedWeights loaded_;
  std::vector<int64_t> at_;  // the byte at which each span begins, or -1
};

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
  const FileLayout layout = layout_of(plain, false);
  layout.each_element(0, layout.outputs, [&](int64_t to, int64_t from) { ours[to] = values[size_t(from)]; });
}

LoadedWeights load_weights(const std::string& path, Network& network, Coverage coverage) {
  const WeightsFile file(path, network, coverage);
  Parameters& parameters = network.parameters();
  for (const ParameterSpan& span : parameters.spans())
    if (file.has(span)) file.check(span);
  parameters.download();
  for (const ParameterSpan& span : parameters.spans())
    if (file.has(span))
      parameters.read_all(span, [&](const ParameterSpan&, int first, int last, float* to) {
        file.read(span, first, last, to);
      });
  parameters.upload();
  return file.loaded();
}

void load_for_good(const std::string& path, Network& network) {
  const auto file = std::make_shared<const WeightsFile>(path, network, Coverage::whole);
  network.prepare_for_good([file](const ParameterSpan& span, int first, int last, float* to) {
    if (file->has(span))
      file->read(span, first, last, to);
    else
      std::fill_n(to, (last - first) * span.of_output(), 0.0f);  // another layer's may have been there
  });
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
    const FileLayout layout = layout_of(span, header.transposed());
    over_outputs(layout, [&](int64_t first, int64_t last) {
      layout.each_element(first, last, [&](int64_t from, int64_t to) { array[size_t(to)] = ours[from]; });
    });
    file.write(array.data(), 4 * array.size());
  }
  file.commit();
}

}  // namespace osprey
