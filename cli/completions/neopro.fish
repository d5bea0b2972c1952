# Completion of neopro for fish. Candidates come from neopro itself, so that they are of its version and your checkout.
function __neopro_candidates
    set -l neopro (command -s neopro); or set neopro 'NEOPRO'
    set -l words (commandline -opc) (commandline -ct)
    set -l lines ($neopro __complete $words[2..-1] 2>/dev/null)
    if test "$lines[1]" = files
        __fish_complete_path (commandline -ct)
    else if test (count $lines) -gt 1
        printf '%s\n' $lines[2..-1]
    end
end
complete -c neopro -f -a '(__neopro_candidates)'
