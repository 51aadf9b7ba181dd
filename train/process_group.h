// The processes of one machine that train a network together. Each has the whole of it, and takes some of the
// mini-batches of every batch ("data parallelism"); after each batch they add up their gradients and make the
// same step. A process that was not started as one of several is a group by itself.
#pragma once

#include <cstddef>
#include <string>

namespace osprey {

class ProcessGroup {
 public:
  // The memory through which processes meet. The first process makes it; those that it starts inherit it.
  class Memory {
   public:
    explicit Memory(int size);  // Error: the system gives none
    // For the environment of the process of this rank: own() of its program is then in the group.
    std::string place_of(int rank) const;

   private:
    int file_, size_;
  };
  static constexpr const char* kVariable = "OSPREY_PROCESS_GROUP";  // of the environment

  // The group that this process was started in.
  static ProcessGroup& own();

  int rank() const { return rank_; }  // 0 to size() - 1
  int size() const { return size_; }
  bool leads() const { return rank_ == 0; }  // the one that tells, measures and writes
  bool alone() const { return size_ == 1; }

  // Each of these is called by all processes, in one order, and waits for the others.
  // Sums replace the values. They are added in the order of ranks: in all processes they are equal to the
  // last bit.
  void sum(float* values, size_t count) { add_up(values, count); }
  void sum(double* values, size_t count) { add_up(values, count); }
  bool any(bool mine);
  void take_from_leader(void* memory, size_t bytes);
  void wait();

  // Of processes that fail together the first one goes on, to tell why; the others stay here until they are
  // ended.
  static void let_one_fail();

 private:
  struct Meeting;

  ProcessGroup() = default;
  void join(const std::string& place);
  char* part(size_t index) const;
  template <class T>
  void add_up(T* values, size_t count);

  int rank_ = 0, size_ = 1;
  Meeting* meeting_ = nullptr;  // null in a group of one
  static Meeting* joined_;      // that of own()
};

}  // namespace osprey
