/** Words that invented names are made of. */
export const ADJECTIVES: readonly string[] = (
  'able agile airy alert amber ample apt arctic ardent awake balmy blithe bold brave breezy bright brisk calm candid ' +
  'careful cheerful chipper civil clear clever cordial cosy crisp curious dapper daring dear deft diligent eager early ' +
  'earnest easy fair fearless fine fleet fluent fond frank free fresh frugal gallant gentle genial glad golden grand ' +
  'handy happy hardy hearty honest humble jolly jovial keen kind lively loyal lucid lucky mellow merry mild mindful ' +
  'modest neat nimble noble patient placid plucky polite prompt proud quick quiet ready robust rosy royal serene sharp ' +
  'silent silver sincere sleek smart smooth snug sober solid spry stable steady still stoic stout sturdy subtle sunny ' +
  'sure swift tender thorough thrifty tidy trim true trusty upbeat upright valiant vivid warm wise witty worthy zesty'
).split(' ');

export const SURNAMES: readonly string[] = (
  'abel agnesi aitken ampere archimedes babbage banach barton bayes bernoulli blackwell bohr boole born bosch braun ' +
  'brahe brouwer cantor carson cartan cauchy cavendish celsius chandra church clarke copernicus coulomb crick curie ' +
  'dalton darwin dedekind descartes dirac edison einstein eratosthenes erdos euclid euler faraday fermat fermi feynman ' +
  'fibonacci fourier franklin galilei galois gauss germain godel goldberg gutenberg hamilton hawking heisenberg hertz ' +
  'hilbert hipparchus hooke hopper humboldt huygens hypatia jacobi joule kelvin kepler kovalevskaya lagrange lamarr ' +
  'laplace leavitt leibniz linnaeus lorentz lovelace maxwell meitner mendel mendeleev minkowski morse napier nernst ' +
  'newton nightingale nobel noether ohm pascal pasteur pauli peano planck poincare poisson ptolemy pythagoras ramanujan ' +
  'riemann ritchie roentgen russell rutherford sagan schroedinger shannon siemens stirling stokes tesla thales turing ' +
  'vesalius volta wallis watt weyl wiles wright yalow zuse'
).split(' ');
