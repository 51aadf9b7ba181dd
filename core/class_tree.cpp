#include "core/class_tree.h"

#include <charconv>
#include <filesystem>
#include <functional>
#include <sstream>

#include "core/error.h"
#include "core/file.h"

namespace osprey {
namespace {

// visit(words, line number) of each line that is not empty.
void for_each_line(const std::string& text,
                   const std::function<void(const std::vector<std::string>&, int)>& visit) {
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    if (!words.empty()) visit(words, number);
  }
}

bool read_whole(const std::string& word, int& value) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc() && end == word.data() + word.size();
}

}  // namespace

ClassTree ClassTreeTables::view() const {
  const auto whole = [](const std::vector<int>& v) {
    return View<const int>(v.data(), {1, 1, 1, int(v.size())});
  };
  return {whole(parents), whole(groups), whole(group_of), whole(children)};
}

std::string find_class_file(const std::string& path, const std::string& cfg_file) {
  if (file_exists(path)) return path;
  const std::filesystem::path beside = std::filesystem::path(cfg_file).parent_path() / path;
  return file_exists(beside) ? beside.string() : "";
}

ClassTreeTables read_class_tree(const std::string& file) {
  ClassTreeTables tree;
  for_each_line(read_file(file, "a tree of classes"), [&](const std::vector<std::string>& words, int line) {
    int parent = 0;
    const int own = tree.classes();
    if (words.size() != 2 || !read_whole(words[1], parent))
      fail("{}:{}: expected a name and the number of its parent", file, line);
    if (parent < -1 || parent >= own)
      fail("{}:{}: the parent of class {} must be -1 or a class before it, not {}", file, line, own, parent);
    if (own == 0 || parent != tree.parents.back()) {
      tree.groups.push_back(own);
      if (parent >= 0) tree.children[size_t(parent)] = int(tree.groups.size()) - 1;
    }
    tree.parents.push_back(parent);
    tree.group_of.push_back(int(tree.groups.size()) - 1);
    tree.children.push_back(-1);
  });
  if (tree.parents.empty()) fail("{}: no class in it", file);
  tree.groups.push_back(tree.classes());
  return tree;
}

std::vector<int> read_class_map(const std::string& file) {
  std::vector<int> map;
  for_each_line(read_file(file, "a map of classes"), [&](const std::vector<std::string>& words, int line) {
    int value = 0;
    if (words.size() != 1 || !read_whole(words[0], value) || value < 0)
      fail("{}:{}: expected the number of a class", file, line);
    map.push_back(value);
  });
  if (map.empty()) fail("{}: no class in it", file);
  return map;
}

}  // namespace osprey
