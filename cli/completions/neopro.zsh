#compdef neopro
# Completion of neopro for zsh. Candidates come from neopro itself, so that they are of its version and your checkout.
_neopro() {
    local neopro line
    local -a lines candidates
    neopro=$(whence -p neopro) || neopro='NEOPRO'
    lines=("${(@f)$("$neopro" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ $lines[1] == files ]]; then
        _files
        return
    fi
    for line in "${(@)lines[2,-1]}"; do
        candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    (( $#candidates )) && _describe -V 'neopro' candidates
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _neopro "$@"
else
    compdef _neopro neopro
fi
