// Darknet's .weights files: every header, every layout, and every way in which a file can be wrong.
#include "models/weights.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "core/file.h"
#include "tests/data/temporary.h"
#include "tests/models/networks.h"

namespace osprey {
namespace {

// Bytes of a file, built up as Darknet writes them.
struct Bytes {
  std::string all;
  Bytes& header(int32_t major, int32_t minor, int32_t revision, uint64_t seen, int seen_bytes) {
    for (const int32_t v : {major, minor, revision}) all.append(reinterpret_cast<const char*>(&v), 4);
    all.append(reinterpret_cast<const char*>(&seen), size_t(seen_bytes));
    return *this;
  }
  Bytes& floats(const std::vector<float>& values) {
    all.append(reinterpret_cast<const char*>(values.data()), 4 * values.size());
    return *this;
  }
  // count floats: first, first + 1, ...
  Bytes& counting(int count, float first) {
    for (int i = 0; i < count; ++i) floats({first + float(i)});
    return *this;
  }
};

constexpr uint64_t kSeen = 0x123456789;  // needs more than four bytes

View<float> span(Network& network, const std::string& name) {
  for (const ParameterSpan& s : network.parameters().spans())
    if (s.name == name) return network.parameters().value(s);
  fail("no parameter {}", name);
}

std::vector<float> values(Network& network, const std::string& name) { return copy_of(span(network, name)); }

const std::string kNet = "[net]\nwidth=4\nheight=4\nchannels=2\n";
// 2 filters of 1x2 over 2 channels would be odd; 2x2 shows the order: biases, then [out][in][h][w].
const std::string kTwoConvolutions =
    kNet +
    "[convolutional]\nfilters=2\nsize=2\nactivation=linear\n"
    "[convolutional]\nbatch_normalize=1\nfilters=3\nsize=1\nactivation=linear\n";
constexpr int kFirst = 2 + 2 * 2 * 4, kSecond = 3 * 4 + 3 * 2;

TEST(Weights, LieInDarknetsOrder) {
  const Temporary folder;
  PlannedNetwork network(kTwoConvolutions);
  EXPECT_EQ(weights_bytes(network, {}), 20 + 4 * (kFirst + kSecond));
  const std::string path =
      folder.write("w", Bytes().header(0, 2, 5, kSeen, 8).counting(kFirst, 0).counting(kSecond, 100).all);
  const LoadedWeights loaded = load_weights(path, network, Coverage::whole);
  EXPECT_TRUE(loaded.complete);
  EXPECT_EQ(loaded.layers, 2);
  EXPECT_EQ(loaded.header.seen, kSeen);
  EXPECT_EQ(values(network, "0.biases"), (std::vector<float>{0, 1}));
  // In the file out, in, h, w: ours are out, h, w, in.
  EXPECT_EQ(values(network, "0.weights"),
            (std::vector<float>{2, 6, 3, 7, 4, 8, 5, 9, 10, 14, 11, 15, 12, 16, 13, 17}));
  EXPECT_EQ(values(network, "1.biases"), (std::vector<float>{100, 101, 102}));
  EXPECT_EQ(values(network, "1.scales"), (std::vector<float>{103, 104, 105}));
  EXPECT_EQ(values(network, "1.rolling_mean"), (std::vector<float>{106, 107, 108}));
  EXPECT_EQ(values(network, "1.rolling_variance"), (std::vector<float>{109, 110, 111}));
  EXPECT_EQ(values(network, "1.weights"), (std::vector<float>{112, 113, 114, 115, 116, 117}));
}

// Biases as filter, row, column; weights as row, column, filter, then channel, row and column of the kernel.
TEST(Weights, OfLocalLieInDarknetsOrder) {
  const Temporary folder;
  PlannedNetwork network(kNet + "[local]\nfilters=2\nsize=3\nactivation=linear\n");
  const std::string path =
      folder.write("w", Bytes().header(0, 2, 5, kSeen, 8).counting(8, 0).counting(8 * 18, 8).all);
  EXPECT_TRUE(load_weights(path, network, Coverage::whole).complete);
  EXPECT_EQ(values(network, "0.biases"), (std::vector<float>{0, 4, 1, 5, 2, 6, 3, 7}));
  std::vector<float> want;
  for (int filter = 0; filter < 8; ++filter)  // two at each of four places
    for (int pixel = 0; pixel < 9; ++pixel)
      for (int channel = 0; channel < 2; ++channel)
        want.push_back(float(8 + filter * 18 + channel * 9 + pixel));
  EXPECT_EQ(values(network, "0.weights"), want);

  PlannedNetwork implicit(kNet + "[implicit]\nfilters=3\natoms=2\n");
  const std::string file = folder.write("i", Bytes().header(0, 2, 5, kSeen, 8).counting(6, 0).all);
  EXPECT_TRUE(load_weights(file, implicit, Coverage::whole).complete);
  EXPECT_EQ(values(implicit, "0.weights"), (std::vector<float>{0, 2, 4, 1, 3, 5}));
}

struct Header {
  int32_t major, minor, revision;
  int seen_bytes;
};

// Old files have a counter of four bytes; a 32-bit build wrote four under a version that has eight: the size
// of the file tells.
TEST(Weights, AllHeadersAreReadAndWrittenBack) {
  const Temporary folder;
  for (const Header h :
       {Header{0, 1, 0, 4}, Header{0, 2, 0, 8}, Header{0, 2, 5, 8}, Header{1, 0, 0, 8}, Header{0, 2, 0, 4},
        Header{0, 1, 0, 8}, Header{0, 1001, 0, 4}, Header{1001, 0, 0, 4}}) {
    SCOPED_TRACE(fmt::format("{}.{}.{} with {} bytes", h.major, h.minor, h.revision, h.seen_bytes));
    PlannedNetwork network(kTwoConvolutions);
    const uint64_t seen = h.seen_bytes == 8 ? kSeen : 77;
    const std::string bytes =
        Bytes().header(h.major, h.minor, h.revision, seen, h.seen_bytes).counting(kFirst + kSecond, 1).all;
    const LoadedWeights loaded = load_weights(folder.write("w", bytes), network, Coverage::whole);
    EXPECT_EQ(loaded.header.seen, seen);
    EXPECT_EQ(loaded.header.seen_bytes, h.seen_bytes);
    EXPECT_EQ(span(network, "0.biases")[0], 1);
    save_weights(folder / "again", network, loaded.header);
    EXPECT_TRUE(read_file(folder / "again", "weights") == bytes);
  }
}

// [connected]: the file flattens its input channels first, and versions over 1000 have [in, out].
TEST(Weights, OfConnectedLayersFollowTheFlattenedInput) {
  const Temporary folder;
  const std::string cfg = "[net]\nwidth=2\nheight=1\nchannels=3\n[connected]\noutput=2\nactivation=linear\n";
  PlannedNetwork network(cfg);
  load_weights(folder.write("w", Bytes().header(0, 2, 5, 0, 8).counting(2, 90).counting(12, 0).all), network,
               Coverage::whole);
  // c, h, w in the file: values 0 1 of channel 0, 2 3 of channel 1, 4 5 of channel 2; ours are h, w, c.
  EXPECT_EQ(values(network, "0.weights"), (std::vector<float>{0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11}));

  const std::string transposed = Bytes().header(0, 1001, 0, 0, 4).counting(2, 90).counting(12, 0).all;
  const LoadedWeights loaded = load_weights(folder.write("t", transposed), network, Coverage::whole);
  EXPECT_TRUE(loaded.header.transposed());
  EXPECT_EQ(values(network, "0.weights"), (std::vector<float>{0, 4, 8, 2, 6, 10, 1, 5, 9, 3, 7, 11}));
  save_weights(folder / "again", network, loaded.header);
  EXPECT_TRUE(read_file(folder / "again", "weights") == transposed);
}

TEST(Weights, FlippedConvolutionsAreTransposedInTheFile) {
  const Temporary folder;
  PlannedNetwork network(kNet + "[convolutional]\nfilters=3\nsize=1\nflipped=1\nactivation=linear\n");
  const std::string bytes = Bytes().header(0, 2, 5, 0, 8).counting(3, 90).counting(6, 0).all;
  const LoadedWeights loaded = load_weights(folder.write("w", bytes), network, Coverage::whole);
  EXPECT_EQ(values(network, "0.weights"), (std::vector<float>{0, 3, 1, 4, 2, 5}));  // [in, out] in the file
  save_weights(folder / "again", network, loaded.header);
  EXPECT_TRUE(read_file(folder / "again", "weights") == bytes);
}

TEST(Weights, DontloadTakesNoBytesFromTheFile) {
  const Temporary folder;
  std::string cfg = kTwoConvolutions;
  cfg.replace(cfg.find("[convolutional]"), 15, "[convolutional]\ndontload=1");
  PlannedNetwork network(cfg);
  const std::vector<float> before = values(network, "0.weights");
  load_weights(folder.write("w", Bytes().header(0, 2, 5, 0, 8).counting(kSecond, 5).all), network,
               Coverage::whole);
  EXPECT_EQ(values(network, "0.weights"), before);
  EXPECT_EQ(span(network, "1.biases")[0], 5);
}

TEST(Weights, DontloadscalesLeavesOutTheBatchNorm) {
  const Temporary folder;
  PlannedNetwork network(kTwoConvolutions + "dontloadscales=1\n");
  const std::vector<float> before = values(network, "1.scales");
  load_weights(folder.write("w", Bytes().header(0, 2, 5, 0, 8).counting(kFirst, 0).counting(3 + 6, 50).all),
               network, Coverage::whole);
  EXPECT_EQ(values(network, "1.biases"), (std::vector<float>{50, 51, 52}));
  EXPECT_EQ(values(network, "1.scales"), before);
  EXPECT_EQ(values(network, "1.weights"), (std::vector<float>{53, 54, 55, 56, 57, 58}));
}

TEST(Weights, ABackboneEndsAfterAnyLayer) {
  const Temporary folder;
  PlannedNetwork network(kTwoConvolutions);
  const std::vector<float> before = values(network, "1.weights");
  const std::string bytes = Bytes().header(0, 2, 5, 640, 8).counting(kFirst, 0).all;
  const std::string path = folder.write("w.conv.1", bytes);
  const LoadedWeights loaded = load_weights(path, network, Coverage::backbone);
  EXPECT_FALSE(loaded.complete);
  EXPECT_EQ(loaded.layers, 1);
  EXPECT_EQ(span(network, "0.biases")[1], 1);
  EXPECT_EQ(values(network, "1.weights"), before);
  save_weights(folder / "again", network, loaded.header, loaded.layers);
  EXPECT_TRUE(read_file(folder / "again", "weights") == bytes);
  expect_in("ends before layer 1 [convolutional], t.cfg:9: expected 164 bytes, found 92",
            error_of([&] { load_weights(path, network, Coverage::whole); }));
}

TEST(Weights, BadFilesAreOneLineAndChangeNothing) {
  const Temporary folder;
  PlannedNetwork network(kTwoConvolutions);
  const std::vector<float> before(network.parameters().values(),
                                  network.parameters().values() + network.parameters().size());
  const std::string whole = Bytes().header(0, 2, 5, 0, 8).counting(kFirst + kSecond, 1).all;
  const std::string narrow = Bytes().header(0, 1, 0, 0, 4).counting(kFirst + kSecond, 1).all;
  std::string nan = whole, infinite = whole;
  const float bad[] = {NAN, INFINITY};
  std::memcpy(nan.data() + 20 + 4 * 5, &bad[0], 4);
  std::memcpy(infinite.data() + 20 + 4 * (kFirst + 4), &bad[1], 4);
  std::string mangled = whole;
  for (size_t i = 20; i + 3 <= mangled.size(); i += 6) mangled.replace(i, 3, "\xEF\xBF\xBD");

  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "0 bytes are too few for weights: expected 164"},
      {whole.substr(0, 15), "15 bytes are too few"},
      {whole.substr(0, 18), "ends inside of its header"},
      {whole.substr(0, 20 + 4), "runs out in layer 0 [convolutional], t.cfg:5 (biases): expected 164 bytes"},
      {whole.substr(0, whole.size() - 1), "runs out in layer 1 [convolutional], t.cfg:9 (weights)"},
      // As long as a file with a counter of four bytes, and the other way round.
      {whole.substr(0, whole.size() - 4), "runs out in layer 1 [convolutional], t.cfg:9 (weights)"},
      {narrow + "1234", "is longer than the network: expected 160 bytes, found 164"},
      {whole.substr(0, 20 + 4 * (kFirst + 3)), "runs out in layer 1 [convolutional], t.cfg:9 (scales)"},
      {whole + "1234", "is longer than the network: expected 164 bytes, found 168"},
      {whole + "x", "is longer than the network"},
      {nan, "not finite in layer 0 [convolutional], t.cfg:5 (weights)"},
      {infinite, "not finite in layer 1 [convolutional], t.cfg:9 (scales)"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS pointer"},
      {"<!DOCTYPE html>\n<html>not found</html>", "is text (`<!DOCTYPE html>...`), not weights"},
      {mangled, "damaged by being treated as UTF-8 text"},
      {std::string(164, '\xFF'), "is not a Darknet weights file: its header says version -1.-1"},
  };
  for (const auto& [bytes, message] : cases) {
    const std::string path = folder.write("bad.weights", bytes);
    for (const Coverage coverage : {Coverage::whole, Coverage::backbone}) {
      const std::string said = error_of([&] { load_weights(path, network, coverage); });
      expect_in(path, said);
      expect_in(message, said);
      EXPECT_EQ(said.find('\n'), std::string::npos) << said;
    }
  }
  expect_in("cannot be opened", error_of([&] { load_weights(folder / "none", network, Coverage::whole); }));
  expect_in("this is a folder", error_of([&] { load_weights(folder / "", network, Coverage::whole); }));
  EXPECT_EQ(std::vector<float>(network.parameters().values(),
                               network.parameters().values() + network.parameters().size()),
            before);
}

// Arrays of some size are read in parts.
TEST(Weights, OfALargeLayerLieInDarknetsOrder) {
  const Temporary folder;
  PlannedNetwork network(kNet + "[convolutional]\nfilters=40\nsize=1\nactivation=linear\n" +
                         "[convolutional]\nfilters=70\nsize=3\npad=1\nactivation=linear\n");
  const int before = 40 + 40 * 2 + 70;
  const std::string bytes = Bytes().header(0, 2, 5, 0, 8).counting(before + 70 * 40 * 9, 0).all;
  load_weights(folder.write("w", bytes), network, Coverage::whole);
  const View<float> weights = span(network, "1.weights");
  for (int out = 0; out < 70; ++out)
    for (int channel = 0; channel < 40; ++channel)
      for (int tap = 0; tap < 9; ++tap)
        ASSERT_EQ(weights(out, tap / 3, tap % 3, channel), float(before + (out * 40 + channel) * 9 + tap));
  save_weights(folder / "again", network, {});
  EXPECT_TRUE(read_file(folder / "again", "weights") == bytes);

  std::string nan = bytes;
  const float bad = NAN;
  std::memcpy(nan.data() + nan.size() - 4, &bad, 4);
  expect_in("not finite in layer 1 [convolutional], t.cfg:9 (weights)",
            error_of([&] { load_weights(folder.write("nan", nan), network, Coverage::whole); }));
}

// Each layer is prepared while its parameters are there; those that are read as they are stay, and those that
// two layers share do, too.
TEST(Weights, LoadedForGoodComputeTheSame) {
  const Temporary folder;
  const std::string cfg =
      "[net]\nwidth=16\nheight=16\nchannels=3\n"
      "[convolutional]\nbatch_normalize=1\nfilters=24\nsize=3\npad=1\nactivation=leaky\n"
      "[convolutional]\nfilters=24\nsize=3\npad=1\nactivation=leaky\n"
      "[convolutional]\nshare=1\nfilters=24\nsize=3\npad=1\nactivation=leaky\n"
      "[shortcut]\nfrom=-2\n"
      "[batchnorm]\n[connected]\noutput=8\nactivation=linear\n";
  for (const Device device : {Device::cpu, Device::cuda}) {
    NetworkOptions options = inference();
    options.build.device = device;
    PlannedNetwork known(cfg, 2, 16, 16, options, 3), loaded(cfg, 2, 16, 16, options, 4);
    const std::string path = folder / "w";
    save_weights(path, known, {});
    load_for_good(path, loaded);
    fill_randomly(known.input(), 5);
    fill_randomly(loaded.input(), 5);
    known.forward();
    loaded.forward();
    EXPECT_EQ(loaded.read(5), known.read(5));
  }
}

// Parameters that are brought in each forward pass, in memory that layers take turns with; where two share
// theirs, all stay.
TEST(Weights, StreamedComputeTheSame) {
  const Temporary folder;
  const std::string head =
      "[net]\nwidth=16\nheight=16\nchannels=3\n"
      "[convolutional]\nbatch_normalize=1\nfilters=24\nsize=3\npad=1\nactivation=leaky\n"
      "[convolutional]\nfilters=24\nsize=3\npad=1\nactivation=leaky\n";
  const std::string tail = "[shortcut]\nfrom=-2\n[batchnorm]\n[connected]\noutput=8\nactivation=linear\n";
  for (const bool shared : {false, true}) {
    const std::string cfg = head +
                            (shared ? "[convolutional]\nshare=1\n" : "[convolutional]\ndontload=1\n") +
                            "filters=24\nsize=3\npad=1\nactivation=leaky\n" + tail;
    NetworkOptions options = inference();
    PlannedNetwork known(cfg, 2, 16, 16, options, 3);
    const std::string path = folder / "w";
    save_weights(path, known, {});
    Network loaded(parse_cfg(cfg, "t.cfg"), options);
    loaded.plan(2, 16, 16);
    load_for_good(path, loaded);
    options.streams = true;
    Network streamed(parse_cfg(cfg, "t.cfg"), options);
    streamed.plan(2, 16, 16);
    EXPECT_EQ(streamed.parameters().size() < loaded.parameters().size(), !shared);
    load_for_good(path, streamed);
    for (const unsigned seed : {5u, 6u}) {
      fill_randomly(loaded.input(), seed);
      fill_randomly(streamed.input(), seed);
      loaded.forward();
      streamed.forward();
      EXPECT_EQ(streamed.read(5), loaded.read(5));
    }
  }
}

TEST(Weights, LoadedForGoodMustBeWholeAndFinite) {
  const Temporary folder;
  PlannedNetwork network(kTwoConvolutions, 1, 4, 4, inference());
  const std::string whole = Bytes().header(0, 2, 5, 0, 8).counting(kFirst + kSecond, 1).all;
  std::string nan = whole;
  const float bad = NAN;
  std::memcpy(nan.data() + 20 + 4 * (kFirst + 4), &bad, 4);
  const std::vector<std::pair<std::string, std::string>> cases = {
      {whole.substr(0, 20 + 4 * kFirst), "ends before layer 1 [convolutional], t.cfg:9"},
      {whole.substr(0, whole.size() - 1), "runs out in layer 1 [convolutional], t.cfg:9 (weights)"},
      {whole + "x", "is longer than the network"},
      {nan, "not finite in layer 1 [convolutional], t.cfg:9 (scales)"},
  };
  for (const auto& [bytes, message] : cases)
    expect_in(message, error_of([&] { load_for_good(folder.write("bad.weights", bytes), network); }));
}

TEST(Weights, AFailedWriteLeavesTheOldFile) {
  const Temporary folder;
  PlannedNetwork network(kTwoConvolutions);
  // A folder of that name cannot be replaced by a file; no permission is needed to see it fail.
  std::filesystem::create_directories(folder / "taken.weights/inside");
  expect_in("cannot be written", error_of([&] { save_weights(folder / "taken.weights", network, {}); }));
  EXPECT_TRUE(std::filesystem::exists(folder / "taken.weights/inside"));
  EXPECT_FALSE(std::filesystem::exists(folder / "taken.weights.part"));
  expect_in("cannot be written", error_of([&] { save_weights(folder / "no/such/folder/w", network, {}); }));

  const std::string old = folder.write("locked/w", "old");
  ::chmod((folder / "locked").c_str(), 0500);
  if (::geteuid() != 0) {  // root may write anywhere
    expect_in("cannot be written", error_of([&] { save_weights(old, network, {}); }));
    EXPECT_EQ(read_file(old, "weights"), "old");
  }
  ::chmod((folder / "locked").c_str(), 0700);
}

// No space left is the failure that happens in the middle of a file.
TEST(Weights, AFullDiskLeavesTheOldFile) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "this system has no /dev/full";
  const Temporary folder;
  PlannedNetwork network(kTwoConvolutions);
  const std::string path = folder.write("w", "old");
  std::filesystem::create_symlink("/dev/full", path + ".part");
  expect_in("cannot be written: No space left on device; what was there before is untouched",
            error_of([&] { save_weights(path, network, {}); }));
  EXPECT_EQ(read_file(path, "weights"), "old");
}

}  // namespace
}  // namespace osprey
