// What a process that computes does beside its first JavaScript: load TensorFlow's libraries, read the weights ahead, and keep signal handlers off the stack of
// code that uses the stack pointer for something else.
#include <dlfcn.h>
#include <fcntl.h>
#include <node_api.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kGuard = 64 << 10;  // a multiple of every page size in use
constexpr size_t kSignalStack = 256 << 10;
constexpr off_t kStretch = 8 << 20;

/**
 * oneDNN's generated f32 product points the stack pointer into a heap buffer (fixed in oneDNN 3.11.2): a handler that runs on that "stack" overwrites the heap.
 * Handlers get a stack of their own: the profiler's asks for one when the thread has it, those of Node.js are told to.
 */
void guardSignals() {
  stack_t stack = {};
  if (sigaltstack(nullptr, &stack) != 0) return;
  if (stack.ss_flags & SS_DISABLE) {
    char* at = static_cast<char*>(
        mmap(nullptr, kGuard + kSignalStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (at == MAP_FAILED) return;
    mprotect(at, kGuard, PROT_NONE);
    stack = {};
    stack.ss_sp = at + kGuard;
    stack.ss_size = kSignalStack;
    if (sigaltstack(&stack, nullptr) != 0) return;
  }
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction action;
    if (sigaction(signal, nullptr, &action) != 0) continue;
    if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN || (action.sa_flags & SA_ONSTACK)) continue;
    action.sa_flags |= SA_ONSTACK;
    sigaction(signal, &action, nullptr);
  }
}

/** Threads that are waited for before the process ends: static destructors must not run under a library that is still being loaded. Never destroyed. */
class Background {
 public:
  void run(std::function<void()> work) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      threads_.emplace_back(std::move(work));
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  void end() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    ending = false;
  }
  std::atomic<bool> ending{false};

 private:
  std::mutex mutex_;
  std::vector<std::thread> threads_;
};
Background& background = *new Background;

/** Whatever fails here fails again, with a message, where the library or the file is needed. */
void load(const std::string& path) { dlopen(path.c_str(), RTLD_LAZY | RTLD_LOCAL); }

void readAhead(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  struct stat info;
  if (fstat(file, &info) == 0) {
    for (off_t at = 0; at < info.st_size && !background.ending; at += kStretch) {
      posix_fadvise(file, at, std::min<off_t>(kStretch, info.st_size - at), POSIX_FADV_WILLNEED);
    }
  }
  close(file);
}

/** The first argument as text; false: an exception is pending. */
bool textArgument(napi_env env, napi_callback_info info, std::string& text) {
  size_t count = 1, length = 0;
  napi_value argument;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok || count < 1 ||
      napi_get_value_string_utf8(env, argument, nullptr, 0, &length) != napi_ok) {
    napi_throw_type_error(env, nullptr, "a path is needed");
    return false;
  }
  text.resize(length + 1);
  napi_get_value_string_utf8(env, argument, text.data(), length + 1, &length);
  text.resize(length);
  return true;
}

template <void (*work)(const std::string&)>
napi_value inBackground(napi_env env, napi_callback_info info) {
  std::string path;
  if (textArgument(env, info, path)) background.run([path] { work(path); });
  return nullptr;
}

napi_value guard(napi_env, napi_callback_info) {
  guardSignals();
  return nullptr;
}

napi_value end(napi_env, napi_callback_info) {
  background.end();
  return nullptr;
}

napi_value init(napi_env env, napi_value exports) {
  const napi_property_descriptor functions[] = {
      {"guardSignals", nullptr, guard, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"load", nullptr, inBackground<load>, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"readAhead", nullptr, inBackground<readAhead>, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"end", nullptr, end, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof(functions) / sizeof(functions[0]), functions);
  return exports;
}

}  // namespace

NAPI_MODULE(rowsmith_start, init)
