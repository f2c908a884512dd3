/* Tries to break out of the container it runs in: `attack WHAT…`. Each line `reached …` is an attack that got through;
   the last line is `done`. */
#include "attack.h"

int main(int count, char **words) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    const char *name = strrchr(words[0], '/');
    name = name ? name + 1 : words[0];
    const char *what = count > 1 ? words[1] : "";
    if (strcmp(what, "calls") == 0) calls();
    else if (strcmp(what, "privileges") == 0 || strcmp(what, "identity") == 0) privileges(name);
    else if (strcmp(what, "files") == 0) files();
    else if (strcmp(what, "limits") == 0) limits();
    else if (strcmp(what, "neighbours") == 0) neighbours(count - 2, words + 2);
    else if (strcmp(what, "holds") == 0) holds(count - 2, words + 2);
    else return 2;
    puts("done");
    return 0;
}
