// Whatever a user gets wrong, the command says it in one line, exits with 1, and spoils no file.
#include <gtest/gtest.h>

#include <array>

#include "core/file.h"
#include "models/weights.h"
#include "tests/apps/command.h"
#include "tests/models/networks.h"
#include "tests/train/drawn.h"

namespace osprey {
namespace {

using Arguments = std::vector<std::string>;

class BadInput : public testing::Test {
 protected:
  BadInput() {
    PlannedNetwork network(drawn_cfg(3));
    save_weights(weights_, network, {});
  }

  std::string cfg_with(const std::string& old, const std::string& replacement) {
    std::string text = drawn_cfg(3);
    EXPECT_NE(text.find(old), std::string::npos);
    text.replace(text.find(old), old.size(), replacement);
    return folder_.write("changed.cfg", text);
  }
  // A .data file whose one image has this label text.
  std::string data_with_label(const std::string& label) {
    std::filesystem::copy_file(image_, folder_ / "one/x.png",
                               std::filesystem::copy_options::overwrite_existing);
    folder_.write("one/x.txt", label);
    return data_with_list(folder_ / "one/x.png\n");
  }
  std::string data_with_list(const std::string& list) {
    const std::string path = folder_.write("one/list.txt", list);
    return folder_.write("one/t.data",
                         "classes=2\ntrain=" + path + "\nnames=" + (folder_ / "t.names") + "\n");
  }
  Arguments train(const std::string& data) {
    return {"train", cfg_, data, "--out", folder_ / "out", "--strict"};
  }

  Temporary folder_;
  std::string data_ = draw_set(folder_, 3), cfg_ = folder_.write("t.cfg", drawn_cfg(3)),
              weights_ = folder_ / "t.weights", image_ = folder_ / "images/0.png";
  bool made_ = std::filesystem::create_directories(folder_ / "one");
};

TEST_F(BadInput, Cfg) {
  const std::string changed = folder_ / "changed.cfg";
  const std::vector<std::array<std::string, 3>> cases = {
      {"filters=8", "filtres=8", ": [convolutional] unknown key `filtres`, did you mean `filters`?"},
      {"filters=8", "filters=0", ": [convolutional] filters must be at least 1, not 0"},
      {"filters=8", "filters=eight", ": [convolutional] filters must be a whole number, not `eight`"},
      {"filters=14", "filters=15", "[yolo]"},
      {"size=3\nstride=2\npad=1", "size=300", "a window of 300 pixels does not fit"},
      {"from=-2", "from=99", ": [shortcut] `99` refers to layer 99"},
      {"from=-2", "from=stem", ": [shortcut] no layer before this one is named `stem`"},
      {"[shortcut]", "[shotrcut]", "unknown section, did you mean `shortcut`?"},
      {"[shortcut]", "[shortcut", "expected `[section]`"},
      {"[shortcut]", "shortcut", "expected `[section]` or `key=value`, not `shortcut`"},
      {"activation=leaky", "activation=leeky", "did you mean `leaky`?"},
      {"width=64", "width=-64", ": [net] width must be between 1 and 65536, not -64"},
  };
  for (const auto& [old, replacement, message] : cases) {
    cfg_with(old, replacement);
    for (const Arguments& command :
         {Arguments{"summary", changed}, Arguments{"detect", changed, weights_, image_},
          Arguments{"train", changed, data_, "--out", folder_ / "out"}})
      expect_refused(command, message);
  }
  expect_refused({"summary", folder_ / "none.cfg"}, "none.cfg: cannot be opened");
  expect_refused({"summary", folder_ / "one"}, "this is a folder, expected a .cfg file");
  expect_refused({"summary", image_}, "not a .cfg file");
  expect_refused({"summary", folder_.write("empty.cfg", "")}, "no [section] in it");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/t_last.weights"));
}

TEST_F(BadInput, Weights) {
  const std::string whole = read_file(weights_, "weights");
  const std::vector<std::pair<std::string, std::string>> cases = {
      {whole.substr(0, whole.size() / 2), "runs out in layer"},
      {whole + "more", "is longer than the network"},
      {"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
      {"", "too few for weights"},
      {read_file(image_, "an image"), ""},
  };
  for (const auto& [bytes, message] : cases) {
    const std::string path = folder_.write("bad.weights", bytes);
    expect_refused({"detect", cfg_, path, image_}, message);
    expect_refused({"train", cfg_, data_, path, "--out", folder_ / "out"}, message);
    EXPECT_TRUE(read_file(path, "weights") == bytes);
  }
  expect_refused({"detect", cfg_, folder_ / "none.weights", image_}, "none.weights: cannot be opened");
}

TEST_F(BadInput, Images) {
  const std::string png = read_file(image_, "an image");
  const std::string cut = folder_.write("cut.png", png.substr(0, png.size() / 2)),
                    text = folder_.write("text.png", "no image"), empty = folder_.write("empty.png", "");
  expect_refused({"detect", cfg_, weights_, folder_ / "none.png"}, "none.png");
  expect_refused({"detect", cfg_, weights_, cut}, cut);
  expect_refused({"detect", cfg_, weights_, text}, text);
  expect_refused({"detect", cfg_, weights_, empty}, empty);
  expect_refused({"detect", cfg_, weights_, folder_.write("empty.txt", "\n")}, "the list of images is empty");
  expect_refused({"detect", cfg_, weights_, folder_ / "one"}, "no image in this folder");
  // Of several images the good ones are done, and the end says that one was not.
  const std::string json = folder_ / "found.json";
  expect_refused({"detect", cfg_, weights_, cut, image_, "--json", json}, "1 of 2 images could not be read");
  expect_in(image_, read_file(json, "JSON"));
}

TEST_F(BadInput, DataSets) {
  expect_refused(train(folder_ / "none.data"), "none.data");
  expect_refused(train(data_with_list("")), "list.txt");
  expect_refused(train(data_with_list(folder_ / "none.png\n")), "none.png");
  expect_refused(train(data_with_label("2 .5 .5 .2 .2\n")), "x.txt:1");
  expect_refused(train(data_with_label("0 .5 .5 .2 .2\n-1 .5 .5 .2 .2\n")), "x.txt:2");
  expect_refused(train(data_with_label("0 .5 .5 .2\n")), "x.txt:1");
  expect_refused(train(data_with_label("0 .5 half .2 .2\n")), "x.txt:1");
  expect_refused(train(data_with_label("0 1.5 .5 .2 .2\n")), "x.txt:1");
  expect_refused(train(data_with_label("0 nan .5 .2 .2\n")), "x.txt:1");
  expect_refused(train(data_with_label("0 .5 .5 0 .2\n")), "x.txt:1");
  expect_refused(train(folder_.write("k.data", "klasses=2\n")), "k.data:1");
  const std::string broken = data_with_label("0 .5 .5 .2 .2\n");
  folder_.write("one/x.png", "no image");
  expect_refused(train(broken), "x.png");
}

TEST_F(BadInput, OutputsThatCannotBeWritten) {
  const std::string file = folder_.write("file", "precious");
  expect_refused({"train", cfg_, data_, "--out", file + "/out"}, "the folder for weights cannot be made");
  expect_refused({"detect", cfg_, weights_, image_, "--json", folder_ / "no/such/folder/x.json"},
                 "cannot be written");
  expect_refused({"detect", cfg_, weights_, image_, "--out", file + "/out"}, file);
  expect_refused({"forward", cfg_, weights_, "--input", image_, "--dump", file + "/out"}, file);
  EXPECT_EQ(read_file(file, "a file"), "precious");
}

TEST_F(BadInput, CommandLines) {
  expect_refused({}, "A subcommand is required");
  expect_refused({"detekt"}, "A subcommand is required");
  expect_refused({"detect"}, "cfg is required");
  expect_refused({"detect", cfg_, weights_, image_, "--thresh", "2"}, "--thresh");
  expect_refused({"train", cfg_, data_, "--max-batches", "0"}, "--max-batches");
  expect_refused({"summary", cfg_, "--nonsense"}, "--nonsense");
  EXPECT_EQ(osprey_command({"--help"}).status, 0);
  EXPECT_EQ(osprey_command({"--version"}).status, 0);
  expect_refused({"detect", cfg_, weights_, image_, "--letterbox", "--stretch"}, "exclude each other");
  expect_refused({"keys", "convolutionel"}, "unknown section [convolutionel], did you mean `convolutional`?");
  expect_refused({"forward", cfg_, weights_, "--input", image_, "--dump", folder_ / "d", "--layers", "77"},
                 "the network has layers 0 to 6");
}

}  // namespace
}  // namespace osprey
